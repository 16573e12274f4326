"""Long polling: a question with all watches and their cursors, answered when there is news.

Nothing is kept between two polls but what every client shares (the rings), so any process may
answer, and one that has not seen the client before answers with snapshots.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Any

import msgspec

from dashboard import protocol
from dashboard.connection import Connection
from dashboard.fallback_door import Refused
from dashboard.fallback_talk import LONGEST_WAIT_MS, OUR_BUG, Talk
from dashboard.feeds import MetricsFeed
from dashboard.hub import Hub
from dashboard.protocol import Close
from dashboard.sinks import AsgiSink
from dashboard.viewer import Viewer
from dashboard.watching import Asked, welcome
from metrics.clock import now_ms

logger = logging.getLogger(__name__)

LEAST_S = 0.1  # no sooner is news answered, which bounds how often somebody polls
TOGETHER_S = 0.02  # after the first news, for what comes with it
SNAPSHOTS_S = 1.0  # other news waits at most so long for snapshots that are being made
ANSWER_BYTES = 4 * 1024 * 1024  # and one frame more
LINGER_S = 10.0  # between two polls the list of metrics is followed on
BEAT, BYE = '{"type":"heartbeat"', '{"type":"bye"'
FORBIDDEN = '{"type":"error","code":"forbidden"'

_lingering: weakref.WeakKeyDictionary[MetricsFeed, asyncio.TimerHandle] = (
    weakref.WeakKeyDictionary()
)

_drawing_on: set[asyncio.Task[None]] = set()


class _OfWatch(msgspec.Struct):
    id: int | None = None


_id_decoder = msgspec.json.Decoder(_OfWatch)


def _id_of(frame: str) -> int | None:
    return _id_decoder.decode(frame).id


class Poll:
    def __init__(self, hub: Hub, viewer: Viewer) -> None:
        self._hub = hub
        self._viewer = viewer
        self._sink = AsgiSink(self._take_frame)
        self._connection = Connection(self._sink)
        self._talk = Talk(hub, viewer, self._connection)
        self._frames: list[str] = []
        self._bytes = 0
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._refused: Refused | None = None
        self._deserted = False

    async def answer(self, receive: Any, watches: list[Asked], wait_s: float) -> bytes:
        """A JSON array of frames, a heartbeat the last of them. Raises Refused.

        Without watches it is [welcome, heartbeat], at once.
        """
        if not watches:
            return self._joined([protocol.encode(welcome())])
        reason = self._hub.members.refusal(self._viewer)
        if reason:
            raise Refused(Close.RATE_LIMITED, reason)
        self._hub.members.join(self._connection, self._viewer, self._end)
        tasks = [asyncio.create_task(job) for job in (self._write(), self._hear(receive))]
        try:
            await self._collect(watches, wait_s)
        finally:
            self._hub.members.leave(self._connection)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._leave(watches)
        if self._refused is not None:
            raise self._refused
        return self._joined(self._frames)

    async def _collect(self, watches: list[Asked], wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        least_s, last_s = loop.time() + LEAST_S, loop.time() + wait_s
        for watch in watches:
            await self._talk.take(watch)
        await self._until(self._news, last_s)
        # A past range is nobody's but this poll's: it would have to be read once more.
        alone = any(watch.ring is None for watch in self._connection.watches.values())
        ends_s = max(last_s, loop.time()) if alone else loop.time() + SNAPSHOTS_S
        while not self._over.is_set() and self._news.is_set() and loop.time() < ends_s:
            await self._until(self._over, max(least_s, loop.time() + TOGETHER_S))
            if not self._is_drawing():
                return

    async def _until(self, event: asyncio.Event, until_s: float) -> None:
        try:
            async with asyncio.timeout_at(until_s):
                await event.wait()
        except TimeoutError:
            pass

    def _is_drawing(self) -> bool:
        """Whether some watch waits for its snapshot."""
        watches = self._connection.watches.values()
        return any(watch.is_behind_ring() or watch.drawn is not None for watch in watches)

    async def _write(self) -> None:
        try:
            await self._sink.write()
        except Exception:
            logger.exception("a poll cannot be answered")
            await self._end(Close.INTERNAL, OUR_BUG)

    async def _take_frame(self, text: str) -> None:
        if text.startswith(BEAT):
            return
        if text.startswith(FORBIDDEN):
            # What was gathered of it before the right went is not to be sent any more.
            gone = _id_of(text)
            self._frames = [one for one in self._frames if _id_of(one) != gone]
        if self._bytes >= ANSWER_BYTES:
            self._finish()
            await asyncio.Event().wait()  # the rest is for the next poll
        self._frames.append(text)
        self._bytes += len(text)
        self._news.set()
        if text.startswith(BYE):
            self._finish()

    async def _hear(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._deserted = True
        self._finish()

    async def _end(self, code: Close, reason: str) -> None:
        self._refused = Refused(code, reason)
        self._finish()

    def _finish(self) -> None:
        self._over.set()
        self._news.set()

    def _joined(self, frames: list[str]) -> bytes:
        beat = protocol.encode(protocol.Heartbeat(now_ms()))
        joined = ",\n".join([*frames, beat])
        return f"[{joined}]".encode()

    # -- between two polls -----------------------------------------------------------------------

    def _leave(self, watches: list[Asked]) -> None:
        self._talk.is_over = True
        if any(isinstance(one, protocol.WatchMetrics) for one in watches):
            _follow_on(self._hub.metrics)
        drawings = [one.drawing for one in self._connection.watches.values() if one.drawing]
        if drawings and self._refused is None and not self._deserted:
            # The next poll finds the snapshots made, or in the making.
            task = asyncio.get_running_loop().create_task(self._draw_on(drawings))
            _drawing_on.add(task)
            task.add_done_callback(_drawing_on.discard)
        else:
            self._connection.close()

    async def _draw_on(self, drawings: list[asyncio.Task[None]]) -> None:
        try:
            await asyncio.wait(drawings, timeout=LONGEST_WAIT_MS / 1000)
        finally:
            self._connection.close()


def _follow_on(feed: MetricsFeed) -> None:
    """Without a watcher the feed forgets, and every poll would get the whole list."""
    timer = _lingering.get(feed)
    if timer is None:
        feed.watchers += 1
    else:
        timer.cancel()

    def leave() -> None:
        del _lingering[feed]
        feed.watchers -= 1

    _lingering[feed] = asyncio.get_running_loop().call_later(LINGER_S, leave)
