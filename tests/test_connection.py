"""One watcher's connection: what it is sent, in which order, and what a slow one costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest
from django.db import InterfaceError

from dashboard import connection as connections
from dashboard import protocol
from dashboard.acks import Window
from dashboard.binary_frames import SNAPSHOT, UPDATE, Grid
from dashboard.connection import Connection
from dashboard.frames import Form, Frame, GridFrame
from dashboard.protocol import WatchRefused
from dashboard.ring import Ring
from dashboard.sinks import AT_ONCE_BYTES, AsgiSink
from dashboard.watch import Watch
from metrics import stats
from metrics.query import ExpressionError
from tests.live_support import read
from tests.support.waiting import aeventually


class Client:
    """The other end: notes what it is sent; while it is `stuck` nothing can be sent to it."""

    def __init__(self, form: Form = Form.JSON, window: Window | None = None) -> None:
        self.frames: list[protocol.ServerMessage] = []
        self.texts: list[str | bytes] = []
        self.sink = AsgiSink(self._send, form, window)
        self.connection = Connection(self.sink)
        self._reads = asyncio.Event()
        self._reads.set()

    async def _send(self, text: str | bytes) -> None:
        await self._reads.wait()
        self.texts.append(text)
        self.frames.append(read(text))

    def stop_reading(self) -> None:
        self._reads.clear()

    def read_on(self) -> None:
        self._reads.set()

    async def heard(self, count: int) -> list[protocol.ServerMessage]:
        """The first `count` frames, once they are there; and no more come."""
        await aeventually(lambda: len(self.frames) >= count, what=f"{count} frames")
        await quiet()
        assert len(self.frames) == count, self.frames
        return self.frames

    def told(self) -> list[str]:
        """In short: what kind of frames came, with their ids and cursors' numbers."""
        return [
            f"{type(one).__name__} {getattr(one, 'id', '')}"
            f"{':' + one.cursor.partition(':')[2] if hasattr(one, 'cursor') else ''}"
            for one in self.frames
        ]


async def quiet() -> None:
    """Lets every task do what it can do now."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture(params=[Form.JSON, Form.BINARY])
def form(request: pytest.FixtureRequest) -> Form:
    return Form(request.param)


@asynccontextmanager
async def a_client(form: Form = Form.JSON) -> AsyncIterator[Client]:
    client = Client(form)
    writer = asyncio.create_task(client.sink.write())
    yield client
    writer.cancel()
    with suppress(asyncio.CancelledError):
        await writer
    client.connection.close()


def update(ring: Ring, size: int = 1) -> None:
    times = np.arange(size, dtype=np.int64) + 1000 * (ring.seq + 1)
    grid = Grid(UPDATE, times, np.full((1, size), ring.seq + 1.0), [], 1000)
    ring.append(lambda cursor: GridFrame(grid, cursor), 1)


def watch(id: int, ring: Ring | None, cursor: str | None = None) -> Watch:
    async def picture() -> Frame:
        at = ring.cursor if ring else ""
        return snapshot(at)

    return Watch(id, picture, ring, cursor)


def snapshot(cursor: str = "", columns: int = 0) -> Frame:
    arrays = np.arange(columns, dtype=np.int64), np.zeros((1, columns))
    return GridFrame(Grid(SNAPSHOT, *arrays, [protocol.Line({})], 1000), cursor)


def is_conflated(frame: protocol.ServerMessage) -> bool:
    return isinstance(frame, protocol.Snapshot | protocol.Update) and frame.conflated


def failing(error: Exception) -> Watch:
    async def picture() -> Frame:
        raise error

    return Watch(7, picture, Ring())


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (WatchRefused("too_many_points", "too many points"), "too_many_points", "too many points"),
        (ExpressionError("no such function"), "bad_expression", "no such function"),
        (InterfaceError("connection already closed"), "internal", "the history cannot be read now"),
        (ZeroDivisionError("oops"), "internal", "a mistake of ours"),
    ],
)
async def test_a_watch_that_cannot_be_shown_ends_with_a_sentence_and_its_id_is_free(
    error: Exception, code: str, sentence: str
) -> None:
    async with a_client() as client:
        client.connection.add(failing(error))
        (frame,) = await client.heard(1)
        assert isinstance(frame, protocol.Error)
        assert (frame.id, frame.code) == (7, code)
        assert sentence in frame.message
        assert "oops" not in frame.message
        assert not client.connection.watches


async def test_answers_that_nobody_reads_are_bounded() -> None:
    async with a_client() as client:
        client.stop_reading()
        said = [client.connection.say(str(number)) for number in range(1000)]
    assert sum(said) == connections.CONTROL_FRAMES
    assert said[-1] is False


async def test_heartbeats_that_were_not_read_become_one() -> None:
    async with a_client() as client:
        client.stop_reading()
        client.connection.say(protocol.encode(protocol.Error("internal", "first")))
        await quiet()
        for server_ms in range(100):
            client.connection.beat(protocol.encode(protocol.Heartbeat(server_ms)))
        client.read_on()
        assert (await client.heard(2))[1] == protocol.Heartbeat(99)


async def test_a_snapshot_then_every_update_once_and_in_order(form: Form) -> None:
    ring = Ring()
    async with a_client(form) as client:
        update(ring)
        client.connection.add(watch(1, ring))
        await client.heard(1)
        for count in range(2, 5):
            update(ring)
            await client.heard(count)
        assert client.told() == ["Snapshot 1:1", "Update 1:2", "Update 1:3", "Update 1:4"]
        assert not any(map(is_conflated, client.frames))


async def test_who_comes_back_with_a_cursor_gets_what_was_missed_and_no_snapshot(
    form: Form,
) -> None:
    ring = Ring()
    update(ring)
    cursor = ring.cursor
    update(ring)
    update(ring)
    async with a_client(form) as client:
        client.connection.add(watch(5, ring, cursor))
        (frame,) = await client.heard(1)
        assert client.told() == ["Update 5:3"]
        assert isinstance(frame, protocol.Update)
        assert frame.times == [2000, 3000]
        assert not is_conflated(frame), "whoever was away is not slow"


async def test_a_stream_that_begins_anew_gives_everybody_a_snapshot(form: Form) -> None:
    ring = Ring()
    async with a_client(form) as client:
        client.connection.add(watch(1, ring))
        await client.heard(1)
        ring.begin()
        update(ring)
        await client.heard(2)
        assert client.told() == ["Snapshot 1:0", "Snapshot 1:1"]


async def test_a_watch_without_a_ring_is_answered_once_and_its_id_is_free(form: Form) -> None:
    async with a_client(form) as client:
        client.connection.add(watch(1, None))
        await client.heard(1)
        assert client.told() == ["Snapshot 1:"]
        assert not client.connection.watches


async def test_what_is_not_watched_any_more_is_not_sent(form: Form) -> None:
    ring, other = Ring(), Ring()
    async with a_client(form) as client:
        client.connection.add(watch(1, ring))
        client.connection.add(watch(2, other))
        await client.heard(2)
        client.stop_reading()
        update(ring)
        await quiet()  # it is on its way
        update(ring)
        client.connection.remove(1)
        update(ring)
        update(other)
        client.read_on()
        await client.heard(4)
        assert client.told()[2:] == ["Update 1:1", "Update 2:1"]
        assert not ring.readers


async def test_the_end_ends_every_watch_once_and_leaves_nothing_behind() -> None:
    ended = []

    async def never() -> Frame:
        await asyncio.Event().wait()
        raise AssertionError

    def on_end(id: int) -> Callable[[], None]:
        return lambda: ended.append(id)

    ring = Ring()
    async with a_client() as client:
        for id in range(1, 10):
            client.connection.add(Watch(id, never, ring, None, on_end(id)))
        await quiet()
        client.connection.remove(3)
        client.connection.remove(3)
    assert sorted(ended) == list(range(1, 10))
    assert not ring.readers
    assert not client.connection.watches
    assert client.connection._drawn_now == 0


async def test_only_a_few_snapshots_at_once_are_made_for_one_client() -> None:
    began, at_once = 0, 0

    def large(id: int) -> Watch:
        async def picture() -> Frame:
            nonlocal began
            began += 1
            return snapshot(columns=AT_ONCE_BYTES)

        return Watch(id, picture, None)

    async with a_client() as client:
        client.stop_reading()
        for id in range(1, 21):
            client.connection.add(large(id))
        await quiet()
        at_once = began
        client.read_on()
        await client.heard(20)
    assert at_once == connections.DRAWN_AT_ONCE
    assert began == 20


async def test_a_watch_that_waits_for_its_turn_can_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "DRAWN_AT_ONCE", 1)
    async with a_client() as client:
        client.stop_reading()
        for id in (1, 2, 3, 4):
            client.connection.add(watch(id, None))
        await quiet()
        client.connection.remove(3)
        client.read_on()
        await client.heard(3)
        assert [frame.id for frame in client.frames if isinstance(frame, protocol.Snapshot)] == [
            1, 2, 4,
        ]  # fmt: skip


async def test_everybody_is_sent_the_very_same_text() -> None:
    ring = Ring()
    async with a_client() as one, a_client() as another:
        for client in (one, another):
            client.connection.add(watch(1, ring))
            await client.heard(1)
        update(ring)
        await one.heard(2)
        await another.heard(2)
        assert one.texts[1] is another.texts[1]


async def test_what_was_sent_is_counted_and_timed() -> None:
    stats.reset()
    ring = Ring()
    async with a_client() as client:
        client.connection.add(watch(1, ring))
        await client.heard(1)
        update(ring)
        await client.heard(2)
    counted = stats.snapshot()
    assert counted.counters["frames_sent_total"] == 2
    assert counted.counters["bytes_sent_total"] == sum(map(len, client.texts))
    assert len(counted.windows["publish_to_frame_seconds"]) == 1
