"""The rows of docs/websocket.md on the code of every close, on sizes, numbers and secrets."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from contextlib import AsyncExitStack
from typing import Any

import pytest

from dashboard import members, protocol
from dashboard.asgi import application
from dashboard.protocol import Close
from metrics import intake
from metrics.clock import now_ms
from metrics.samples import Sample
from tests.live_support import as_json, live
from tests.site_support import Site, site
from tests.socket_support import BINARY, CONT, PING, TEXT, frame, handshake
from tests.support.waiting import DEADLINE_S

__all__ = ["site"]  # a fixture

JSON_FORM = "pulseboard.v1.json"
MESSAGE_BYTES = 64 * 1024  # the most that comes in


# -- every close has a code and a sentence ---------------------------------------------------------

RESERVED = bytes([0x81 | 0x40, 0x80, 0, 0, 0, 0])


PROBES: dict[str, tuple[bytes, Close]] = {
    "no mask": (frame(TEXT, b"hi", mask=False), Close.PROTOCOL),
    "reserved bit": (RESERVED, Close.PROTOCOL),
    "no such opcode": (frame(3), Close.PROTOCOL),
    "binary": (frame(BINARY, b"\x01"), Close.UNSUPPORTED),
    "no UTF-8": (frame(TEXT, b"\xff"), Close.NOT_UTF8),
    "lone surrogate": (frame(TEXT, b'"\xed\xa0\x80"'), Close.NOT_UTF8),
    "too big": (frame(TEXT, b"x" * (MESSAGE_BYTES + 1)), Close.TOO_BIG),
    "too big in two": (
        frame(TEXT, b"x" * MESSAGE_BYTES, fin=False) + frame(CONT, b"x"),
        Close.TOO_BIG,
    ),
    "65 fragments": (frame(TEXT, fin=False) + frame(CONT, fin=False) * 65, Close.TOO_BIG),
    "nonsense": (frame(TEXT, b"hello?"), Close.BAD_MESSAGE),
    "no hello": (frame(TEXT, b'{"type":"watch_metrics","id":1}'), Close.UNAUTHENTICATED),
    "no token": (frame(TEXT, b'{"type":"hello","token":"x"}'), Close.UNAUTHENTICATED),
    "pings": (frame(PING) * 21, Close.RATE_LIMITED),
}


@pytest.mark.parametrize("probe", PROBES)
async def test_every_probe_is_answered_with_its_code_and_a_sentence(site: Site, probe: str) -> None:
    sent, code = PROBES[probe]
    async with site.reading() as other:
        async with await site.running.dial() as peer:
            await peer.send(handshake(extra=f"Sec-WebSocket-Protocol: {JSON_FORM}\r\n"))
            assert (await peer.head()).startswith(b"HTTP/1.1 101 ")
            await peer.send(sent)
            found, reason = await peer.goodbye()
        assert (found, bool(reason.strip())) == (code, True)
        await other.say(protocol.WatchEvents(1))
        await other.get(protocol.Events)


# -- numbers ---------------------------------------------------------------------------------------


async def test_of_one_address_fifty_may_be_silent_and_the_next_waits(site: Site) -> None:
    assert members.EXPECTED_PER_ADDRESS == 50
    async with AsyncExitStack() as stack:
        for _ in range(50):
            await stack.enter_async_context(live(site.url))
        one_more = await stack.enter_async_context(live(site.url))
        code, reason = await one_more.goodbye()
    assert code == Close.RATE_LIMITED and "come back in" in reason


async def test_a_snapshot_far_beyond_what_may_come_in_arrives_whole(site: Site) -> None:
    at_ms, series, points = now_ms() // 1000 * 1000, 200, 50
    for start in range(0, points, 10):
        await intake.aaccept(
            [
                Sample("wide", 0.1234567890123 * number + second, {"n": str(number)}, time_ms)
                for second in range(start, start + 10)
                for time_ms in [at_ms - second * 1000]
                for number in range(series)
            ],
            now_ms=at_ms,
        )
    async with site.reading() as client:
        id = await client.watch("wide")
        snapshot = await client.get(protocol.Snapshot, id)
    assert len(snapshot.series) == series
    assert len(json.dumps(as_json(snapshot))) > 2 * MESSAGE_BYTES


async def test_pages_and_sockets_share_one_port(site: Site) -> None:
    def page() -> tuple[int, str]:
        with urllib.request.urlopen(f"{site.origin}/signin/", timeout=DEADLINE_S) as answer:
            return answer.status, answer.headers["Content-Type"]

    async with site.reading() as client:
        assert await asyncio.to_thread(page) == (200, "text/html; charset=utf-8")
        await client.say(protocol.WatchMetrics(1))
        await client.get(protocol.Metrics)


CANARY = "canary-4711"


@pytest.mark.parametrize("path", [f"/live/?token={CANARY}", f"/live/{CANARY}/"])
@pytest.mark.parametrize(
    "header", [f"Cookie: pulseboard={CANARY}", f"Authorization: Bearer {CANARY}"]
)
async def test_no_secret_said_on_opening_or_in_hello_is_in_a_log_or_an_answer(
    site: Site, caplog: pytest.LogCaptureFixture, path: str, header: str
) -> None:
    caplog.set_level("DEBUG")
    extra = f"Sec-WebSocket-Protocol: {JSON_FORM}\r\n{header}\r\n"
    async with await site.running.dial() as peer:
        await peer.send(handshake(path, extra=extra))
        head = await peer.head()
        await peer.send(frame(TEXT, b'{"type":"hello","token":"%s"}' % CANARY.encode()))
        code, reason = await peer.goodbye()
    assert head.startswith(b"HTTP/1.1 101 ") and code in (4401, 4404)
    assert CANARY not in head.decode() + reason + caplog.text


async def test_who_leaves_before_the_goodbye_is_no_mistake_of_ours(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise anybody could fill the log with our own stack."""
    heard = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "nonsense"}]
    said: list[str] = []

    async def receive() -> dict[str, Any]:
        return heard.pop(0) if heard else {"type": "websocket.disconnect", "code": 1006}

    async def send(message: dict[str, Any]) -> None:
        said.append(message["type"])
        if message["type"] == "websocket.close":
            raise ConnectionResetError("the peer has gone")

    scope = {
        "type": "websocket",
        "path": "/live/",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")],
        "subprotocols": [JSON_FORM],
        "client": ("127.0.0.1", 1),
    }
    await application(scope, receive, send)
    assert said == ["websocket.accept", "websocket.close"]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
