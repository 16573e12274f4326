"""GET /api/v1/export, as people and programs see it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient

from metrics import access, catalog, intake
from metrics.api import export as api
from metrics.api import views
from metrics.api.export import Place
from metrics.models import Source
from metrics.moving import export, export_text
from metrics.samples import Sample
from tests.moving_support import NOW_MS
from tests.support.product import Product

pytestmark = pytest.mark.django_db(transaction=True)

EXPORT = "/api/v1/export"


@pytest.fixture(autouse=True)
def samples(transactional_db: None) -> Iterator[None]:
    catalog.forget()
    access.forget()
    views.wrong_tokens.clear()
    intake.accept(
        [Sample("load", n / 4, {"host": "=a"}, NOW_MS + 1000 * n) for n in range(100)],
        now_ms=NOW_MS + 100_000,
    )
    yield
    access.forget()
    access.last_used.flush()
    left, Place.taken = Place.taken, 0
    assert left == 0  # whatever happened


@pytest.fixture
def token() -> str:
    return access.make_token("wall", Source.Scope.READ)[1]


async def get(token: str | None = None, **parameters: str) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return await AsyncClient().get(EXPORT, parameters, headers=headers)


async def body(response: Any) -> str:
    parts = [part async for part in response.streaming_content]
    await sync_to_async(response.close)()
    return b"".join(parts).decode()


def refused(response: Any, status: int) -> str:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    sentence: str = response.json()["error"]
    return sentence


async def test_nobody_exports_without_signing_in() -> None:
    response = await get(metric="load")
    assert "Sign in, or send a token" in refused(response, 401)
    assert response["WWW-Authenticate"] == "Bearer"


async def test_a_token_that_is_not_for_reading_is_refused() -> None:
    _, plain = await sync_to_async(access.make_token)("shop")
    assert "scope read" in refused(await get(plain, metric="load"), 403)
    assert refused(await get("pb_" + "x" * 43, metric="load"), 401)


async def test_who_tries_many_tokens_has_to_wait() -> None:
    for _ in range(views.WRONG_TOKENS_PER_MINUTE):
        assert refused(await get("pb_" + "x" * 43, metric="load"), 401)
    assert "wait a little" in refused(await get("pb_" + "x" * 43, metric="load"), 429)


async def test_an_account_that_was_closed_exports_nothing() -> None:
    user = await sync_to_async(User.objects.create_user)("ann")
    client = AsyncClient()
    await client.aforce_login(user)
    assert await body(await client.get(EXPORT, {"metric": "load"}))
    user.is_active = False
    await user.asave()
    assert refused(await client.get(EXPORT, {"metric": "load"}), 401)


@pytest.mark.parametrize(
    ("parameters", "status", "reason"),
    [
        ({}, 400, "Expected an expression"),
        ({"metric": "load", "expr": "load"}, 400, "not both"),
        ({"expr": "load{"}, 400, "character"),
        ({"expr": "rate(load[1m])"}, 400, "say how long a step is"),
        ({"metric": "load", "format": "xls"}, 400, "'xls' is not a format"),
        ({"metric": "load", "from": "x"}, 400, "from: 'x' is not a time"),
        ({"metric": "load", "form": "csv"}, 400, "'form': expected only expr, metric"),
        ({"metric": "nothing"}, 404, "no series is selected by nothing"),
    ],
)
async def test_what_cannot_be_exported_is_a_sentence(
    token: str, parameters: dict[str, str], status: int, reason: str
) -> None:
    assert reason in refused(await get(token, **parameters), status)


async def test_only_reading_is_possible(token: str) -> None:
    response = await AsyncClient().post(EXPORT, headers={"Authorization": f"Bearer {token}"})
    assert refused(response, 405)
    assert response["Allow"] == "GET"


async def test_a_program_gets_csv(token: str) -> None:
    response = await get(token, metric="load", time_format="ms")
    assert response.streaming
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="load.csv"'
    assert response["Cache-Control"] == "private, no-store"
    assert response["X-Content-Type-Options"] == "nosniff"
    lines = (await body(response)).splitlines()
    assert lines[:2] == ["time,metric,host,value", f"{NOW_MS},load,'=a,0"]
    assert len(lines) == 101


async def test_a_person_gets_json_lines_of_a_range() -> None:
    client = AsyncClient()
    await client.aforce_login(await sync_to_async(User.objects.create_user)("ann"))
    wanted = {"expr": 'load{host="=a"}', "from": str(NOW_MS), "to": str(NOW_MS + 2000)}
    response = await client.get(EXPORT, {**wanted, "format": "jsonl"})
    assert [json.loads(line)["value"] for line in (await body(response)).splitlines()] == [0, 0.25]


async def test_a_long_export_comes_in_parts(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PART_BYTES", 100)
    monkeypatch.setattr(export_text, "SAMPLES_AT_ONCE", 10)
    response = await get(token, metric="load")
    parts = [part async for part in response.streaming_content]
    await sync_to_async(response.close)()
    assert len(parts) == 10
    assert b"".join(parts).count(b"\n") == 101


async def test_too_many_exports_at_once_are_refused(token: str) -> None:
    running = [await get(token, metric="load") for _ in range(api.EXPORTS_AT_ONCE)]
    response = await get(token, metric="load")
    assert "4 exports run already" in refused(response, 503)
    assert response["Retry-After"]
    await sync_to_async(running[0].close)()  # it went away before it read anything
    running[0] = await get(token, metric="load")
    for one in running:
        assert (await body(one)).count("\n") == 101


async def test_what_fails_on_the_way_breaks_the_connection(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may take half of the samples for all of them."""
    monkeypatch.setattr(api, "PART_BYTES", 1)
    group = export._group

    def torn(*arguments: Any) -> Iterator[export.Piece]:
        yield from group(*arguments)
        raise OSError("the disk is gone")

    monkeypatch.setattr(export, "_group", torn)
    response = await get(token, metric="load")
    with pytest.raises(OSError, match="the disk is gone"):
        [part async for part in response.streaming_content]


def test_the_running_product_streams_an_export(server: Product) -> None:
    server.manage("publish", "load", "0.5", "--label", "host=a")
    reading = server.token("wall", "read")
    request = urllib.request.Request(
        f"{server.base_url}{EXPORT}?metric=load", headers={"Authorization": f"Bearer {reading}"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.read().decode().splitlines()[0] == "time,metric,host,value"
    request = urllib.request.Request(
        f"{server.base_url}{EXPORT}?metric=load&format=jsonl", headers={"Cookie": server.cookie()}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        assert json.loads(response.read())["value"] == 0.5
