"""Publishers' way through the whole application on a real port: shorter, and nothing is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import signals

from dashboard.handler import Handler
from dashboard.headers import HEADERS
from metrics.models import Batch
from tests.site_support import Site, site

__all__ = ["site"]  # a fixture
pytestmark = pytest.mark.django_db(transaction=True)

BODY = json.dumps({"samples": [{"metric": "orders_total", "value": 3}]}).encode()


@pytest.fixture
def announced() -> Iterator[list[str]]:
    """The paths of the requests that Django has announced to whoever listens."""
    paths: list[str] = []

    def note(scope: dict[str, Any], **_: object) -> None:
        paths.append(scope["path"])

    signals.request_started.connect(note)
    yield paths
    signals.request_started.disconnect(note)


async def ask(site: Site, line: str, *lines: str, body: bytes = b"") -> tuple[int, str, bytes]:
    """Status, headers and body of the answer to a request."""
    common = ("Host: 127.0.0.1", "Connection: close", f"Content-Length: {len(body)}")
    request = "\r\n".join([f"{line} HTTP/1.1", *common, *lines, "", ""])
    async with await site.running.dial() as peer:
        await peer.send(request.encode() + body)
        head, _, content = (await peer.everything()).partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode().lower(), content


async def publish(site: Site, token: str) -> tuple[int, str, bytes]:
    kind, bearer = "Content-Type: application/json", f"Authorization: Bearer {token}"
    return await ask(site, "POST /api/v1/samples", kind, bearer, body=BODY)


async def test_a_publisher_without_a_token_is_refused(site: Site) -> None:
    status, head, content = await publish(site, "")
    assert (status, json.loads(content)["item"]) == (401, "Authorization")
    assert "www-authenticate: bearer" in head


async def test_an_address_that_is_no_text_is_refused() -> None:
    """As another server than ours may let it through."""
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    address = {"path": "/api/v1/samples", "query_string": b"\xff", "headers": []}
    await Handler()({"type": "http", "method": "POST", **address}, receive, send)
    assert said[0]["status"] == 400


async def test_a_body_that_is_broken_off_stores_nothing(site: Site) -> None:
    token = await site.token("publish")
    async with await site.running.dial() as peer:
        request = f"POST /api/v1/samples HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        await peer.send(f"{request}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:9])
    assert (await publish(site, token))[0] == 200, "the next one is served"
    assert await Batch.objects.acount() == 1


async def test_a_publisher_is_answered_with_every_header_and_without_djangos_signals(
    site: Site, announced: list[str]
) -> None:
    status, head, content = await publish(site, await site.token("publish"))
    assert (status, json.loads(content)) == (200, {"stored": 1})
    for name in ("Content-Security-Policy", *HEADERS):
        assert head.count(f"\r\n{name.lower()}: ") == 1
    assert not announced
    assert (await ask(site, "GET /signin/"))[0] == 200
    assert (await ask(site, "GET /api/v1/samples"))[0] == 405
    assert announced == ["/signin/", "/api/v1/samples"], "everybody else goes Django's way"
