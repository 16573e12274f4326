"""The rows of docs/websocket.md on opening, framing and closing, byte by byte."""

from __future__ import annotations

import logging
import struct

import pytest

from tests.socket_support import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    App,
    Receive,
    Send,
    frame,
    handshake,
    serving,
)

# The example of RFC 6455, section 1.3.
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
COMPRESSED_BIT = 0x40

OPENING = {
    "Host": "127.0.0.1", "Upgrade": "websocket", "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13",
}  # fmt: skip


def opening(start: str = "GET /live/ HTTP/1.1", /, **changed: str | None) -> bytes:
    """The opening request with some headers changed, doubled (a comma) or left out (None)."""
    headers = {**OPENING, **{name.replace("_", "-"): value for name, value in changed.items()}}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([start, *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (opening(Sec_WebSocket_Key=None), 400),
        (opening(Sec_WebSocket_Key=""), 400),
        (opening(Sec_WebSocket_Key="c2hvcnQ="), 400),
        (opening(Sec_WebSocket_Key=KEY + "=="), 400),
        (opening(Sec_WebSocket_Key="*" * 24), 400),
        (opening(Sec_WebSocket_Key=f"{KEY}\r\nSec-WebSocket-Key: {KEY}"), 400),
        (opening(Sec_WebSocket_Version=None), 426),
        (opening(Sec_WebSocket_Version="12"), 426),
    ],
    ids=["no key", "empty", "short", "not base64", "no letters", "two keys", "no version", "old"],
)
async def test_a_handshake_that_is_none_is_refused_in_words(
    request_bytes: bytes, status: int
) -> None:
    app = App()
    async with serving(app) as running, await running.dial() as peer:
        await peer.send(request_bytes)
        head, _, body = (await peer.everything()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert body.strip()
    assert not app.ended


@pytest.mark.parametrize(
    "request_bytes",
    [
        opening(Upgrade=None),
        opening(Upgrade="h2c"),
        opening(Connection="close"),
        opening("POST /live/ HTTP/1.1"),
    ],
    ids=["no upgrade", "h2c", "no connection", "post"],
)
async def test_what_asks_for_no_websocket_gets_none(request_bytes: bytes) -> None:
    async with serving(App()) as running, await running.dial() as peer:
        await peer.send(request_bytes)
        assert not (await peer.head()).startswith(b"HTTP/1.1 101 ")


async def test_the_handshake_is_answered_101_with_the_right_accept() -> None:
    async with serving(App()) as running, await running.dial() as peer:
        await peer.send(opening())
        status, *lines = (await peer.head()).split(b"\r\n")
        assert status.startswith(b"HTTP/1.1 101 ")
        headers = {name.lower(): value for name, value in (line.split(b": ") for line in lines)}
        assert headers[b"sec-websocket-accept"] == ACCEPT
        assert headers[b"upgrade"].lower() == b"websocket"
        assert headers[b"connection"].lower() == b"upgrade"


@pytest.mark.parametrize(
    "offered",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=15, permessage-deflate",
        "x-webkit-deflate-frame",
        "permessage-bzip2",
    ],
)
async def test_compression_is_never_agreed_to_nor_taken(offered: str) -> None:
    extra = f"Sec-WebSocket-Extensions: {offered}\r\n"
    async with serving(App()) as running, await running.dial() as peer:
        await peer.send(handshake(extra=extra))
        head = await peer.head()
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-extensions" not in head.lower()
        compressed = bytearray(frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00"))
        compressed[0] |= COMPRESSED_BIT
        await peer.send(bytes(compressed))
        code, reason = await peer.goodbye()
    assert code == 1002 and "reserved" in reason


async def test_the_servers_frames_are_whole_and_bare() -> None:
    """No mask, no reserved bit, and the shortest form of each length."""
    async with serving(App()) as running, await running.connect() as peer:
        for size, head in (
            (125, b"\x82\x7d"),
            (126, b"\x82\x7e" + struct.pack("!H", 126)),
            (65536, b"\x82\x7f" + struct.pack("!Q", 65536)),
        ):
            await peer.send(frame(BINARY, b"x" * size))
            assert await peer._exactly(len(head) + size) == head + b"x" * size


async def test_fragments_are_put_together_around_the_control_frames_between_them() -> None:
    pieces = (
        frame(TEXT, b"hel", fin=False),
        frame(PING, b"there?"),
        frame(CONT, "lö".encode()[:2], fin=False),  # in the middle of a character
        frame(PONG, b"unasked"),
        frame(CONT, "lö".encode()[2:]),
    )
    app = App()
    async with serving(app) as running, await running.connect() as peer:
        for piece in pieces:
            for byte in piece:  # and every byte a segment of its own
                await peer.send(bytes([byte]))
        assert await peer.frame() == (PONG, b"there?")
        assert await peer.frame() == (TEXT, "hellö".encode())
    assert [message.get("text") for message in app.heard] == ["hellö"]


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4000, 4999])
async def test_a_close_of_the_peer_is_echoed_and_the_app_hears_it(code: int) -> None:
    app = App()
    async with serving(app) as running, await running.connect() as peer:
        await peer.send(frame(CLOSE, struct.pack("!H", code) + b"enough"))
        assert (await peer.goodbye())[0] == code
        assert await app.goodbye() == (code, "enough")


async def test_a_close_without_a_code_is_answered_without_one() -> None:
    """1005 means "none was sent", and is itself never sent."""
    app = App()
    async with serving(app) as running, await running.connect() as peer:
        await peer.send(frame(CLOSE))
        assert await peer.frame() == (CLOSE, b"")
        assert (await app.goodbye())[0] == 1005


@pytest.mark.parametrize("code", [1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 70_000])
async def test_a_code_that_may_not_be_sent_never_is(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def close(receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": code, "reason": "no"})

    async with serving(App(after_accept=close)) as running, await running.connect() as peer:
        assert await peer.goodbye() == (1011, "an error in the server")
    assert [str(code) in r.message for r in caplog.records if r.levelno >= logging.ERROR] == [True]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
async def test_a_peer_that_sends_such_a_code_is_told_so(code: int) -> None:
    async with serving(App()) as running, await running.connect() as peer:
        await peer.send(frame(CLOSE, struct.pack("!H", code)))
        assert (await peer.goodbye())[0] == 1002
