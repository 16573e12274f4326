"""One watcher: a cursor per watch, and a writer.

Nothing is queued for a connection: what it has not read yet lies in the rings, which it shares
with everybody. One that reads slowly falls behind, and when it has fallen off a ring it gets a
snapshot.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

from django import db

from dashboard import protocol
from dashboard.protocol import WatchRefused
from dashboard.ring import Frame, Ring
from metrics import stats
from metrics.query import ExpressionError

logger = logging.getLogger(__name__)

CONTROL_FRAMES = 200  # answers that wait for a client that does not read them
DRAWN_AT_ONCE = 4  # snapshots that are made, or wait to be sent, for one client

# Makes a snapshot. Raises ExpressionError or WatchRefused with a sentence.
Picture = Callable[[], Awaitable[Frame]]
Send = Callable[[str], Awaitable[None]]


class Watch:
    """One of a connection's watches. Without a `ring` it is answered once."""

    def __init__(
        self,
        id: int,
        picture: Picture,
        ring: Ring | None,
        cursor: str | None = None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.id = id
        self.picture = picture
        self.ring = ring
        self.on_end = on_end
        self.epoch = ring.epoch if ring else ""
        self.seq = ring.position(cursor) if ring else None  # None: a snapshot is wanted
        self.drawing: asyncio.Task[None] | None = None
        self.drawn: Frame | None = None  # a snapshot to be sent

    def is_behind_ring(self) -> bool:
        """Whether only a snapshot can help."""
        return self.ring is None or self.seq is None or not self.ring.reaches(self.epoch, self.seq)


class Connection:
    """`send` writes one text frame, and takes as long as the client's network does."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._woken = asyncio.Event()
        self._control: deque[str] = deque()
        self._beat: str | None = None
        self._changed: dict[Watch, None] = {}  # watches with something to write, in order
        self._postponed: dict[Watch, None] = {}  # watches whose snapshot has to wait its turn
        self._drawn_now = 0
        self._listeners: dict[Watch, Callable[[], None]] = {}
        self.watches: dict[int, Watch] = {}

    # -- from the hub and the consumer -----------------------------------------------------------

    def say(self, frame: str) -> bool:
        """Queues a frame that is this connection's own; False when too many wait already."""
        if len(self._control) >= CONTROL_FRAMES:
            return False
        self._control.append(frame)
        self._woken.set()
        return True

    def beat(self, frame: str) -> None:
        """The heartbeat: of several that could not be written only the newest counts."""
        self._beat = frame
        self._woken.set()

    def add(self, watch: Watch) -> None:
        self.watches[watch.id] = watch
        if watch.ring is not None:
            listener = self._listeners[watch] = lambda: self._mark(watch)
            watch.ring.readers.add(listener)
        self._mark(watch)

    def remove(self, id: int) -> None:
        """Ends a watch, if there is one of this id."""
        watch = self.watches.pop(id, None)
        if watch is None:
            return
        if watch.ring is not None:
            watch.ring.readers.discard(self._listeners.pop(watch))
        self._changed.pop(watch, None)
        self._postponed.pop(watch, None)
        if watch.drawing is not None:
            watch.drawing.cancel()
        if watch.drawing is not None or watch.drawn is not None:
            self._finished_drawing()
        watch.drawing = watch.drawn = None
        watch.on_end()

    def close(self) -> None:
        """Ends all watches; what is still to be written is dropped."""
        for id in list(self.watches):
            self.remove(id)

    # -- the writer --------------------------------------------------------------------------------

    async def write(self) -> None:
        """Writes until cancelled, or until sending raises because the socket is gone."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._control:
                await self._put(self._control.popleft())
            changed, self._changed = self._changed, {}
            for watch in changed:
                await self._write_watch(watch)
            beat, self._beat = self._beat, None
            if beat is not None:
                await self._put(beat)

    async def _write_watch(self, watch: Watch) -> None:
        if watch.drawn is not None:
            await self._write_drawn(watch, watch.drawn)
        while self._is_watched(watch) and watch.drawing is None:
            if watch.ring is None or watch.seq is None or watch.is_behind_ring():
                self._begin_drawing(watch)
                return
            entry = watch.ring.after(watch.seq)
            if entry is None:
                return
            watch.seq = entry.seq
            await self._put(entry.text(watch.id))
            if entry.arrived_ns:
                elapsed_s = (time.monotonic_ns() - entry.arrived_ns) / 1e9
                stats.observe("publish_to_frame_seconds", elapsed_s)

    async def _write_drawn(self, watch: Watch, frame: Frame) -> None:
        watch.drawn = None
        self._finished_drawing()
        if watch.ring is None:
            self.remove(watch.id)
        await self._put(frame.text(watch.id))

    def _is_watched(self, watch: Watch) -> bool:
        return self.watches.get(watch.id) is watch

    def _mark(self, watch: Watch) -> None:
        self._changed[watch] = None
        self._woken.set()

    async def _put(self, text: str) -> None:
        await self._send(text)
        stats.inc("frames_sent_total")
        stats.inc("bytes_sent_total", len(text))

    # -- snapshots ---------------------------------------------------------------------------------

    def _begin_drawing(self, watch: Watch) -> None:
        if self._drawn_now >= DRAWN_AT_ONCE:
            self._postponed[watch] = None
            return
        self._drawn_now += 1
        watch.drawing = asyncio.get_running_loop().create_task(self._draw(watch))

    def _finished_drawing(self) -> None:
        self._drawn_now -= 1
        if self._postponed:
            watch = next(iter(self._postponed))
            del self._postponed[watch]
            self._mark(watch)

    async def _draw(self, watch: Watch) -> None:
        """Makes the snapshot a watch needs; other watches go on meanwhile."""
        try:
            frame = await watch.picture()
        except WatchRefused as error:
            self._refuse(watch, error.code, str(error))
        except ExpressionError as error:
            self._refuse(watch, "bad_expression", str(error))
        except db.Error as error:
            logger.warning("a snapshot could not be read: %s", error)
            self._refuse(watch, "internal", "the history cannot be read now: ask again")
        except Exception:
            logger.exception("a snapshot could not be made")
            self._refuse(watch, "internal", "a mistake of ours; it is in the server's log")
        else:
            watch.drawing = None
            watch.drawn = frame
            if watch.ring is not None:
                watch.epoch, _, seq = frame.cursor.partition(":")
                watch.seq = int(seq)
            self._mark(watch)

    def _refuse(self, watch: Watch, code: protocol.ErrorCode, sentence: str) -> None:
        """The watch ends; its id is free again."""
        watch.drawing = None
        self._finished_drawing()
        self.remove(watch.id)
        self.say(protocol.encode(protocol.Error(code, sentence, watch.id)))
