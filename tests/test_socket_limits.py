"""What a peer may send, and how it is told when it sends more."""

from __future__ import annotations

import asyncio
import struct

import pytest

from dashboard.frame_guard import Allowance, FrameLimits
from dashboard.socket import LiveSocket
from tests.socket_support import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    App,
    Running,
    frame,
    handshake,
    serving,
)


class Roomy(LiveSocket):
    """No limits on rates, to test the others."""

    limits = FrameLimits(message_burst=100_000, control_burst=100_000)


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


async def goodbye_after(running: Running, data: bytes) -> tuple[int, str]:
    async with await running.connect() as peer:
        await peer.send(data)
        return await peer.goodbye()


async def test_a_message_over_64_kib_is_refused_with_1009() -> None:
    app = App()
    async with serving(app) as running:
        code, reason = await goodbye_after(running, frame(TEXT, b"x" * (64 * 1024 + 1)))
        assert code == 1009
        assert "65536" in reason
        assert await app.goodbye() == (code, reason)
        assert app.heard == []


async def test_a_frame_that_announces_a_gigabyte_is_refused_before_it_is_sent() -> None:
    async with serving(App()) as running:
        code, _ = await goodbye_after(running, struct.pack("!BBQ", 0x82, 0xFF, 1 << 30))
        assert code == 1009


async def test_a_message_of_64_kib_in_64_fragments_is_heard_whole() -> None:
    app = App()
    pieces = [frame(BINARY, b"0" * 1024, fin=False)]
    pieces += [frame(CONT, b"1" * 1024, fin=number == 63) for number in range(1, 64)]
    async with serving(app) as running, await running.connect() as peer:
        await peer.send(b"".join(pieces))
        assert await peer.frame() == (BINARY, b"0" * 1024 + b"1" * 1024 * 63)


@pytest.mark.parametrize("piece", [b"", b"ab"], ids=["empty", "two bytes"])
async def test_a_flood_of_fragments_is_refused_with_1009(piece: bytes) -> None:
    app = App()
    async with serving(app) as running, await running.connect() as peer:
        await peer.send(frame(TEXT, piece, fin=False) + frame(CONT, piece, fin=False) * 10_000)
        assert await peer.goodbye() == (
            1009,
            "too many fragments: a message may have 64 at most",
        )
        assert (await app.goodbye())[0] == 1009


async def test_the_refusal_arrives_although_the_peer_goes_on_sending() -> None:
    async with serving(App()) as running, await running.connect() as peer:
        flood = frame(TEXT, b"", fin=False) + frame(CONT, b"", fin=False) * 200_000
        sending = asyncio.create_task(peer.send(flood))
        assert (await peer.goodbye())[0] == 1009
        await peer.everything()  # no reset, which could have overtaken the close frame
        await sending


async def test_more_messages_than_allowed_are_refused_with_4429_and_a_wait() -> None:
    app = App()
    async with serving(app) as running:
        code, reason = await goodbye_after(running, frame(TEXT, b"hi") * 400)
        assert code == 4429
        assert reason == (
            "too many messages: at most 50 a second; come back after 5 s (retry_ms=5000)"
        )
        assert (await app.goodbye())[0] == 4429


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_more_than_20_control_frames_at_once_are_refused_with_4429(opcode: int) -> None:
    async with serving(App()) as running:
        code, reason = await goodbye_after(running, frame(opcode, b"hi") * 21)
        assert code == 4429
        assert reason.startswith("too many pings and pongs: at most 20 a second")


async def test_a_page_may_ask_for_a_hundred_panels_at_once() -> None:
    app = App()
    async with serving(app) as running, await running.connect() as peer:
        await peer.send(frame(TEXT, b"watch") * 110)
        for _ in range(110):
            assert await peer.frame() == (TEXT, b"watch")


async def test_20_pings_at_once_are_all_answered() -> None:
    async with serving(App()) as running, await running.connect() as peer:
        await peer.send(frame(PING, b"hi") * 20)
        for _ in range(20):
            assert await peer.frame() == (PONG, b"hi")


def test_an_allowance_refills_with_time() -> None:
    allowance = Allowance(per_second=2, burst=3, now_s=100)
    assert [allowance.take(100) for _ in range(4)] == [True, True, True, False]
    assert [allowance.take(101) for _ in range(3)] == [True, True, False]
    assert [allowance.take(1000) for _ in range(4)] == [True, True, True, False]


async def test_text_that_is_not_utf8_is_refused_with_1007() -> None:
    app = App()
    async with serving(app) as running:
        code, reason = await goodbye_after(running, frame(TEXT, b"ok \xff"))
        assert (code, reason) == (1007, "a text message must be UTF-8; byte 3 is not")
        assert await app.goodbye() == (1007, reason)
        assert app.heard == []


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (frame(TEXT, b"hi", mask=False), "mask"),
        (b"\xc1" + frame(TEXT, b"hi")[1:], "reserved"),
        (frame(3, b"hi"), "opcode"),
        (frame(CONT, b"hi"), "continuation"),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), "continuation"),
        (frame(PING, b"x" * 126), "control frame"),
        (frame(PING, fin=False), "fragmented control frame"),
        (close_frame(1005), "status code"),
        (frame(CLOSE, b"\x03"), "close frame"),
    ],
    ids=[
        "no mask",
        "reserved bit",
        "opcode 3",
        "continues nothing",
        "message in a message",
        "long ping",
        "ping in pieces",
        "close code 1005",
        "close of one byte",
    ],
)
async def test_broken_frames_are_refused_with_1002_and_a_reason(
    broken: bytes, sentence: str
) -> None:
    async with serving(App()) as running:
        code, reason = await goodbye_after(running, broken)
        assert code == 1002
        assert sentence in reason


async def test_a_close_inside_a_fragmented_message_is_answered_like_any_other() -> None:
    app = App()
    async with serving(app) as running:
        data = frame(TEXT, b"half", fin=False) + close_frame(1000, b"bye")
        assert await goodbye_after(running, data) == (1000, "bye")
        assert await app.goodbye() == (1000, "bye")


async def test_a_close_is_answered_with_its_own_code() -> None:
    async with serving(App()) as running:
        assert await goodbye_after(running, close_frame(4000, b"later")) == (4000, "later")


@pytest.mark.parametrize("version", ["12", "8", "13, 12", "x"])
async def test_another_websocket_version_is_answered_426_naming_13(version: str) -> None:
    async with serving(App()) as running, await running.dial() as peer:
        await peer.send(handshake(version=version))
        head, _, body = (await peer.everything()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 426 ")
        assert b"sec-websocket-version: 13" in head.lower()
        assert b"version 13" in body


async def test_a_handshake_with_an_endless_path_is_refused_and_not_left_hanging() -> None:
    async with serving(App()) as running, await running.dial() as peer:
        await peer.send(handshake("/live/" + "x" * 20_000))
        assert (await peer.everything()).startswith(b"HTTP/1.1 414 ")


async def test_many_messages_are_echoed_in_order() -> None:
    async with serving(App(), Roomy) as running, await running.connect() as peer:
        words = [str(number).encode() for number in range(2000)]
        await peer.send(b"".join(frame(TEXT, word) for word in words))
        for word in words:
            assert await peer.frame() == (TEXT, word)
