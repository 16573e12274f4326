"""POST /api/v1/samples and /api/v1/events, as publishers see them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import AsyncClient, Client

from metrics import access, catalog, intake
from metrics.api import views
from metrics.clock import now_ms
from metrics.models import Batch, Event, Series, Source
from metrics.refused import Refused

pytestmark = pytest.mark.django_db(transaction=True)

SAMPLES = "/api/v1/samples"
EVENTS = "/api/v1/events"
GOOD = {"metric": "orders_total", "labels": {"region": "eu"}, "value": 3}


@pytest.fixture(autouse=True)
def nothing_remembered(transactional_db: None) -> Iterator[None]:
    def forget() -> None:
        catalog.forget()
        access.forget()
        views.wrong_tokens.clear()

    forget()
    yield
    forget()
    access.last_used.flush()


@pytest.fixture
def token() -> str:
    return access.make_token("shop")[1]


class Publisher:
    """Somebody with a token (or a bad one) who posts."""

    def __init__(self, token: str | None) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.headers: dict[str, str] = {"Authorization": f"Bearer {token}"} if token else {}

    def post(
        self, content: object, path: str = SAMPLES, type: str = "application/json", **headers: str
    ) -> Any:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic("POST", path, body, type, headers={**self.headers, **named})


@pytest.fixture
def shop(token: str) -> Publisher:
    return Publisher(token)


def error(response: Any, status: int) -> dict[str, str]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "no-store"
    assert Batch.objects.count() == 0
    content: dict[str, str] = response.json()
    assert len(content["error"]) > 10
    return content


def test_without_a_token_nobody_publishes() -> None:
    response = Publisher(None).post({"samples": [GOOD]})
    assert error(response, 401)["item"] == "Authorization"
    assert response["WWW-Authenticate"] == "Bearer"


def test_a_wrong_token_is_refused() -> None:
    error(Publisher(access.new_token()).post({"samples": [GOOD]}), 401)


def test_a_reading_token_does_not_publish() -> None:
    _, plain = access.make_token("wall", Source.Scope.READ)
    error(Publisher(plain).post({"samples": [GOOD]}), 403)


def test_a_signed_in_browser_does_not_publish() -> None:
    publisher = Publisher(None)
    publisher.client.force_login(User.objects.create_superuser("root"))
    error(publisher.post({"samples": [GOOD]}), 401)


def test_whoever_guesses_tokens_is_slowed_down_and_good_tokens_are_not(shop: Publisher) -> None:
    for _ in range(views.WRONG_TOKENS_PER_MINUTE):
        error(Publisher(access.new_token()).post({"samples": []}), 401)
    response = Publisher(access.new_token()).post({"samples": []})
    error(response, 429)
    assert int(response["Retry-After"]) > 0
    assert shop.post({"samples": []}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_post_publishes(shop: Publisher, method: str) -> None:
    response = shop.client.generic(method, SAMPLES, headers=shop.headers)
    assert response.status_code == 405
    assert response["Allow"] == "POST"


@pytest.mark.parametrize(
    "type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "a/b;c"]
)
def test_a_body_that_is_not_declared_as_json_is_refused(shop: Publisher, type: str) -> None:
    assert error(shop.post({"samples": [GOOD]}, type=type), 415)["item"] == "Content-Type"


def test_another_character_set_is_refused(shop: Publisher) -> None:
    error(shop.post({"samples": [GOOD]}, type="application/json; charset=latin-1"), 415)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd"])
def test_a_compression_we_do_not_take_is_refused(shop: Publisher, encoding: str) -> None:
    response = shop.post({"samples": [GOOD]}, Content_Encoding=encoding)
    assert error(response, 415)["item"] == "Content-Encoding"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"no gzip", "not gzip"),
        (gzip.compress(b'{"samples": []}')[:-5], "too early"),
        (gzip.compress(b'{"samples": []}') + b"rest", "not gzip"),
        (gzip.compress(b"hello"), "not valid JSON"),
    ],
    ids=["no gzip", "cut short", "more behind it", "not JSON"],  # gzip's bytes hold the time
)
def test_broken_gzip_is_refused(shop: Publisher, body: bytes, reason: str) -> None:
    assert reason in error(shop.post(body, Content_Encoding="gzip"), 400)["error"]


def test_a_decompression_bomb_is_refused(shop: Publisher) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    assert "100 times" in error(shop.post(bomb, Content_Encoding="gzip"), 413)["error"]
    many = gzip.compress(b" " * 200_000) * 400
    error(shop.post(many, Content_Encoding="gzip"), 413)


def test_a_body_over_the_limit_is_refused(shop: Publisher, settings: Any) -> None:
    settings.BODY_BYTES = 1024
    error(shop.post(b" " * 1025), 413)
    error(shop.post(gzip.compress(b" " * 1025), Content_Encoding="gzip"), 413)


@pytest.mark.parametrize("key", ["", "x" * 201, "schlüssel", "a\tb"])
def test_a_key_that_is_no_key_is_refused(shop: Publisher, key: str) -> None:
    response = shop.post({"samples": [GOOD]}, Idempotency_Key=key)
    assert error(response, 400)["item"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("sample", "item"),
    [
        ({**GOOD, "value": "3"}, "samples[1].value"),
        ({**GOOD, "value": float("nan")}, "samples[1].value"),
        ({**GOOD, "metric": "orders-total"}, "samples[1].metric"),
        ({**GOOD, "metric": "\ud800"}, "samples[1].metric"),
        ({**GOOD, "labels": {"region": 3}}, "samples[1].labels.region"),
        ({**GOOD, "labels": {"region": "\x00"}}, "samples[1].labels.region"),
        ({**GOOD, "labels": {"a-b": "c"}}, "samples[1].labels.a-b"),
        ({**GOOD, "time": 1_790_000_000}, "samples[1].time"),
        ({**GOOD, "time": 4_000_000_000_000}, "samples[1].time"),
        ({**GOOD, "colour": "red"}, "samples[1].colour"),
    ],
)
def test_one_wrong_sample_and_nothing_is_stored(
    shop: Publisher, sample: dict[str, Any], item: str
) -> None:
    assert error(shop.post({"samples": [GOOD, sample]}), 400)["item"] == item


def test_a_refusal_that_may_be_retried_says_when(
    shop: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*args: object, **kwargs: object) -> None:
        raise Refused(503, "", "too many samples wait for the disk: try again")

    monkeypatch.setattr(intake, "aaccept", busy)
    response = shop.post({"samples": [GOOD]})
    error(response, 503)
    assert int(response["Retry-After"]) > 0


@pytest.mark.parametrize(("fault", "status"), [(OperationalError("gone"), 503), (KeyError(1), 500)])
def test_a_fault_of_ours_is_answered_in_json_without_details(
    shop: Publisher, monkeypatch: pytest.MonkeyPatch, fault: Exception, status: int
) -> None:
    async def broken(*args: object, **kwargs: object) -> None:
        raise fault

    monkeypatch.setattr(intake, "aaccept", broken)
    assert str(fault) not in error(shop.post({"samples": [GOOD]}), status)["error"]


def test_an_unknown_address_below_the_api_is_answered_in_json(client: Client) -> None:
    response = client.get("/api/v1/sample")
    assert response.status_code == 404
    assert "error" in response.json()


def test_no_samples_are_stored_as_none(shop: Publisher) -> None:
    response = shop.post({"samples": []})
    assert (response.status_code, response.json()) == (200, {"stored": 0})


def test_samples_are_stored_before_the_answer(shop: Publisher) -> None:
    at_ms = now_ms()
    sent = [{**GOOD, "value": value, "time": at_ms - value} for value in range(100)]
    response = shop.post({"samples": sent})
    assert (response.status_code, response.json()) == (200, {"stored": 100})
    assert response["Cache-Control"] == "no-store"
    [batch] = Batch.objects.all()
    assert (batch.count, batch.start_ms, batch.end_ms) == (100, at_ms - 99, at_ms)
    assert Series.objects.get().labels == {"region": "eu"}


def test_gzip_is_taken_in_one_member_or_several(shop: Publisher) -> None:
    body = json.dumps({"samples": [GOOD]}).encode()
    for packed in (gzip.compress(body), gzip.compress(body[:9]) + gzip.compress(body[9:])):
        response = shop.post(packed, Content_Encoding="gzip")
        assert (response.status_code, response.json()) == (200, {"stored": 1})


def test_a_large_body_is_taken(shop: Publisher) -> None:
    samples = [{**GOOD, "value": value * 1.1} for value in range(10_000)]
    body = json.dumps({"samples": samples}).encode()
    assert len(body) > views.INLINE_BYTES
    assert shop.post(body).json() == {"stored": 10_000}
    assert shop.post(gzip.compress(body, 1), Content_Encoding="gzip").json() == {"stored": 10_000}


def test_a_retried_request_counts_once(shop: Publisher) -> None:
    body = {"samples": [{**GOOD, "kind": "increment"}]}
    first = shop.post(body, Idempotency_Key="order-17")
    again = shop.post(body, Idempotency_Key="order-17")
    assert (first.status_code, first.json()) == (200, {"stored": 1})
    assert (again.status_code, again.json()) == (200, {"stored": 1, "replayed": True})
    assert Batch.objects.count() == 1
    packed = gzip.compress(json.dumps(body).encode())
    assert shop.post(packed, Content_Encoding="gzip", Idempotency_Key="order-17").json() == {
        "stored": 1,
        "replayed": True,
    }


def test_a_key_used_for_another_body_is_refused(shop: Publisher) -> None:
    shop.post({"samples": [GOOD]}, Idempotency_Key="order-17")
    response = shop.post({"samples": [{**GOOD, "value": 4}]}, Idempotency_Key="order-17")
    assert response.status_code == 422
    assert response.json()["item"] == "Idempotency-Key"
    assert Batch.objects.count() == 1


def test_events_are_stored(shop: Publisher) -> None:
    response = shop.post({"events": [{"title": "deployed", "labels": {"app": "shop"}}]}, EVENTS)
    assert (response.status_code, response.json()) == (200, {"stored": 1})
    event = Event.objects.get()
    assert (event.title, event.labels) == ("deployed", {"app": "shop"})
    assert event.source is not None and event.source.name == "shop"


def test_a_wrong_event_is_refused(shop: Publisher) -> None:
    response = shop.post({"events": [{"title": "ok"}, {"title": ""}]}, EVENTS)
    assert error(response, 400)["item"] == "events[1].title"
    assert Event.objects.count() == 0


async def test_publishers_go_past_the_middleware_for_people(
    shop: Publisher, settings: Any, async_client: AsyncClient
) -> None:
    settings.MIDDLEWARE = [
        "dashboard.headers.SecurityHeaders",
        "metrics.api.door.Door",
        *(name for name in settings.MIDDLEWARE if name.startswith("django.")),
    ]
    async_client.cookies["pulseboard"] = "a session"
    type = "application/json"
    response = await async_client.post(SAMPLES, {"samples": [GOOD]}, type, headers=shop.headers)
    assert (response.status_code, response.json()) == (200, {"stored": 1})
    assert "Vary" not in response, "no cookie was looked at"
    assert response["Content-Security-Policy"]
    assert response["Content-Length"] == str(len(response.content))
    assert (await async_client.post(SAMPLES, {}, type)).status_code == 401
    assert (await async_client.get("/api/v1/nothing")).status_code == 404
    assert (await async_client.get("/")).status_code == 302, "people go the long way"
    response = await sync_to_async(shop.post)({"samples": [GOOD]})
    assert response.status_code == 200, "and it works without an event loop"
