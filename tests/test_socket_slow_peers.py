"""Peers that do not read, do not answer, or do not come back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dashboard.drain import DrainWatch
from dashboard.frame_guard import FrameLimits
from dashboard.socket import LiveSocket
from tests.socket_support import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    App,
    Message,
    Peer,
    Receive,
    Running,
    Send,
    frame,
    serving,
)
from tests.support.waiting import aeventually

SMALL_KERNEL_BUFFER_BYTES = 4096
CHUNK = b"x" * 16 * 1024


class Impatient(LiveSocket):
    """The real rules with short times."""

    drain_timeout_s = 0.3
    close_timeout_s = 0.2
    slow_grace_s = 0.2


class Forgiving(Impatient):
    slow_grace_s = 600.0


class ImpatientWithoutRates(Impatient):
    """As above, and a peer may send as many frames as it likes."""

    limits = FrameLimits(message_burst=10**9, control_burst=10**9)


class Firehose(App):
    """Sends without end, and notes how that ended."""

    def __init__(self) -> None:
        super().__init__(after_accept=self.pour)
        self.sent_bytes = 0
        self.failure: BaseException | None = None

    async def pour(self, receive: Receive, send: Send) -> None:
        try:
            while True:
                await send({"type": "websocket.send", "bytes": CHUNK})
                self.sent_bytes += len(CHUNK)
        except OSError as error:
            self.failure = error
            self.goodbyes.append(await receive())


def protocol_of(running: Running) -> LiveSocket:
    (connection,) = running.connections
    assert isinstance(connection, LiveSocket)
    return connection


async def test_a_reader_that_stops_is_cut_and_the_app_is_told_4408() -> None:
    app = Firehose()
    async with (
        serving(app, Impatient) as running,
        await running.connect(receive_bytes=SMALL_KERNEL_BUFFER_BYTES) as peer,
    ):
        code, reason = await app.goodbye()
        assert (code, reason) == (4408, "nothing was read for 0.3 s")
        assert isinstance(app.failure, OSError)
        await aeventually(lambda: not running.connections)
        with pytest.raises(ConnectionResetError):  # the kernel's socket goes too
            while True:
                await peer._more()


async def test_a_reader_that_stops_and_reads_on_sees_4408() -> None:
    app = Firehose()
    async with (
        serving(app, Forgiving) as running,
        await running.connect(receive_bytes=SMALL_KERNEL_BUFFER_BYTES) as peer,
    ):
        await app.goodbye()  # the application does not wait for the peer
        assert await peer.goodbye() == (4408, "nothing was read for 0.3 s")
        await peer.send(frame(CLOSE, b"\x11\x38"))
        await aeventually(lambda: not running.connections)


async def test_a_reader_that_stops_costs_little_memory_until_it_is_cut() -> None:
    app = Firehose()
    async with (
        serving(app) as running,
        await running.connect(receive_bytes=SMALL_KERNEL_BUFFER_BYTES),
    ):
        socket = protocol_of(running)
        await aeventually(lambda: not socket.writable.is_set(), what="writing is paused")
        buffered_bytes = socket.transport.get_write_buffer_size()
        assert buffered_bytes <= socket.write_high_water_bytes + len(CHUNK) + 16
        assert app.sent_bytes < 4 * 1024 * 1024  # what the kernel may hold is bounded too


class FullBuffer:
    """A transport and a loop, as far as a DrainWatch needs them."""

    def __init__(self) -> None:
        self.bytes = 100_000
        self.look: Any = None

    def get_write_buffer_size(self) -> int:
        return self.bytes

    def call_later(self, delay_s: float, look: Any) -> Any:
        self.look = look
        return self

    def cancel(self) -> None:
        self.look = None


def test_a_slow_reader_that_keeps_reading_is_not_cut() -> None:
    stuck: list[bool] = []
    full: Any = FullBuffer()
    watch = DrainWatch(full, full, 5.0, lambda: stuck.append(True))
    watch.start()
    for _ in range(4):
        full.bytes -= 20_000
        full.look()
    assert not stuck
    full.bytes -= 1000  # a trickle is no reading
    full.look()
    assert stuck


def test_a_buffer_that_drained_is_watched_no_longer() -> None:
    full: Any = FullBuffer()
    watch = DrainWatch(full, full, 5.0, lambda: None)
    watch.start()
    watch.stop()
    assert full.look is None


async def test_a_ping_flood_of_a_peer_that_never_reads_is_not_piled_up() -> None:
    """Without any limit on rates: we stop reading when we cannot write."""
    app = App()
    async with (
        serving(app, ImpatientWithoutRates) as running,
        await running.connect(receive_bytes=SMALL_KERNEL_BUFFER_BYTES) as peer,
    ):
        socket = protocol_of(running)
        most_bytes = 0

        def buffered() -> bool:
            nonlocal most_bytes
            most_bytes = max(most_bytes, socket.transport.get_write_buffer_size())
            return bool(app.goodbyes)

        flood = asyncio.create_task(peer.send_until_cut(frame(PING, b"p" * 125) * 1000))
        await aeventually(lambda: socket.read_paused, what="reading is paused")
        await aeventually(buffered, what="the flood is cut")
        await flood
        assert app.goodbyes[0]["code"] == 4408
        assert most_bytes < 1024 * 1024


async def test_messages_wait_in_the_kernel_while_the_app_is_busy() -> None:
    go_on = asyncio.Event()
    app = App()

    async def busy(receive: Receive, send: Send) -> None:
        await go_on.wait()
        await app.echo(receive, send)

    app.after_accept = busy
    async with serving(app, ImpatientWithoutRates) as running, await running.connect() as peer:
        socket = protocol_of(running)
        flood = asyncio.create_task(peer.send(frame(TEXT, b"m" * 1000) * 20_000))
        await aeventually(lambda: socket.read_paused, what="reading is paused")
        queued = socket.queue.qsize()
        assert not flood.done()
        assert queued < 1000
        go_on.set()
        await aeventually(lambda: len(app.heard) > queued, what="reading goes on")
        flood.cancel()


async def test_a_peer_that_does_not_answer_a_close_is_cut() -> None:
    async def hang_up(receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 4401, "reason": "sign in first"})

    app = App(after_accept=hang_up)
    async with serving(app, Impatient) as running, await running.connect() as peer:
        assert await peer.goodbye() == (4401, "sign in first")
        await aeventually(lambda: not running.connections)
        await peer.hung_up()


async def test_a_peer_that_answers_a_close_sees_an_orderly_end() -> None:
    async def hang_up(receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 4401, "reason": "sign in first"})

    async with serving(App(after_accept=hang_up)) as running, await running.connect() as peer:
        assert (await peer.goodbye())[0] == 4401
        await peer.send(frame(CLOSE, b"\x11\x31"))
        assert await peer.everything() == b""


async def test_a_missing_pong_is_said_with_4410() -> None:
    app = App()
    config: Any = {"ping_interval_s": 0.05, "pong_timeout_s": 0.05}
    async with serving(app, Impatient, **config) as running, await running.connect() as peer:
        assert await peer.goodbye() == (4410, "no pong within 0.05 s")
        assert await app.goodbye() == (4410, "no pong within 0.05 s")
        await peer.hung_up()


async def test_a_peer_that_answers_pings_stays() -> None:
    app = App()
    config: Any = {"ping_interval_s": 0.01, "pong_timeout_s": 5.0}
    async with serving(app, **config) as running, await running.connect() as peer:
        for _ in range(5):
            opcode, payload = await peer.frame()
            assert opcode == PING
            await peer.send(frame(PONG, payload))
        assert app.goodbyes == []


async def test_a_pong_that_waits_behind_messages_is_not_missing() -> None:
    go_on = asyncio.Event()
    app = App()

    async def busy(receive: Receive, send: Send) -> None:
        await go_on.wait()
        await app.echo(receive, send)

    app.after_accept = busy
    # Long enough for the message to be there before a pong is missed, on a busy machine too.
    config: Any = {"ping_interval_s": 0.02, "pong_timeout_s": 0.5}
    async with serving(app, **config) as running, await running.connect() as peer:
        await peer.send(frame(TEXT, b"one"))
        socket = protocol_of(running)
        await aeventually(lambda: socket.read_paused)
        for _ in range(3):
            assert (await peer.frame())[0] == PING
        go_on.set()
        await aeventually(lambda: app.heard)


async def end_without_a_word(peer: Peer) -> None:
    peer.sock.close()


async def half_close(peer: Peer) -> None:
    peer.sock.shutdown(1)


@pytest.mark.parametrize("leave", [end_without_a_word, half_close])
async def test_a_peer_that_vanishes_is_1006_for_the_app(leave: Any) -> None:
    app = App()
    async with serving(app) as running, await running.connect() as peer:
        await leave(peer)
        assert await app.goodbye() == (1006, "the connection was lost")
        await aeventually(lambda: not running.connections)


async def test_an_app_that_goes_on_receiving_after_the_end_does_not_hang() -> None:
    heard: list[Message] = []

    async def greedy(receive: Receive, send: Send) -> None:
        heard.extend([await receive() for _ in range(3)])

    async with serving(App(after_accept=greedy)) as running, await running.connect() as peer:
        peer.sock.close()
        await aeventually(lambda: len(heard) == 3)
        assert {message["type"] for message in heard} == {"websocket.disconnect"}
