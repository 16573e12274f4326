"""One watcher: a cursor per watch, and what is to be written next.

Nothing is queued for a connection: what it has not read yet lies in the rings, which it shares
with everybody. One that reads slowly falls behind and gets what it has missed in one update, and
when it has fallen off a ring it gets a snapshot.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from django import db

from dashboard import protocol
from dashboard.frames import Frame, Message, dressed
from dashboard.protocol import WatchRefused
from dashboard.ring import Ring
from dashboard.sinks import NOBODY, Sink, Taken
from metrics.query import ExpressionError

if TYPE_CHECKING:
    from dashboard.sharing import Subject

logger = logging.getLogger(__name__)

CONTROL_FRAMES = 200  # answers that wait for a client that does not read them
DRAWN_AT_ONCE = 4  # snapshots that are made, or wait to be sent, for one client
TAKEN_AT_ONCE = 60  # messages

# Makes a snapshot. Raises ExpressionError or WatchRefused with a sentence.
Picture = Callable[[], Awaitable[Frame]]


def _nothing() -> None:
    pass


class Watch:
    """One of a connection's watches. Without a `ring` it is answered once."""

    __slots__ = (
        "begun",
        "behind",
        "connection",
        "drawing",
        "drawn",
        "drawn_seq",
        "epoch",
        "id",
        "is_conflated",
        "is_marked",
        "on_end",
        "picture",
        "ring",
        "seq",
        "subject",
    )  # fmt: skip

    def __init__(
        self,
        id: int,
        picture: Picture,
        ring: Ring | None,
        cursor: str | None = None,
        on_end: Callable[[], None] = _nothing,
    ) -> None:
        self.id = id
        self.picture = picture
        self.ring = ring
        self.on_end = on_end
        self.epoch = ring.epoch if ring else ""
        self.seq = ring.position(cursor) if ring else None  # None: a snapshot is wanted
        self.drawing: asyncio.Task[None] | None = None
        self.drawn: Frame | None = None  # a snapshot to be sent
        self.drawn_seq = -1  # where the last snapshot stood: it may be some seconds old
        self.begun = False  # something was sent already
        self.is_conflated = False  # what is sent next stands for several updates
        self.is_marked = False  # the connection knows that there is something to write
        self.behind: Watch | None = None  # whose turn is next among the marked
        self.connection: Connection | None = None
        self.subject: Subject | None = None  # what a right to watch it is looked up by

    def is_behind_ring(self) -> bool:
        """Whether only a snapshot can help."""
        return self.ring is None or self.seq is None or not self.ring.reaches(self.epoch, self.seq)

    def changed(self) -> None:
        """There is something to write."""
        if self.connection is not None:
            self.connection.mark(self)

    def next_at_once(self) -> Frame | None:
        """The newest frame, where it follows the last one sent: whoever keeps up needs no more."""
        ring = self.ring
        if (
            ring is None
            or self.seq != ring.seq - 1
            or self.epoch != ring.epoch
            or self.drawn is not None
            or self.drawing is not None
        ):
            return None
        self.seq = ring.seq
        return ring.newest


class Connection:
    """What is to be written goes out through `sink`, which takes it when the network does."""

    __slots__ = (
        "_beat",
        "_control",
        "_drawn_now",
        "_first",
        "_last",
        "_postponed",
        "_sink",
        "watches",
    )

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        sink.source = self
        self._control: deque[str] | None = None
        self._beat: str | None = None
        # Watches with something to write, in order. Linked: with a list of its own for each of
        # thousands of connections the processor would wait for memory half as long again.
        self._first: Watch | None = None
        self._last: Watch | None = None
        self._postponed: dict[Watch, None] = {}  # watches whose snapshot has to wait its turn
        self._drawn_now = 0
        self.watches: dict[int, Watch] = {}

    # -- from the hub and the consumer -----------------------------------------------------------

    def say(self, frame: str) -> bool:
        """Queues a frame that is this connection's own; False when too many wait already."""
        if self._control is None:
            self._control = deque()
        if len(self._control) >= CONTROL_FRAMES:
            return False
        self._control.append(frame)
        self._sink.wake()
        return True

    def beat(self, frame: str) -> None:
        """The heartbeat: of several that could not be written only the newest counts."""
        self._beat = frame
        self._sink.wake()

    def add(self, watch: Watch) -> None:
        self.watches[watch.id] = watch
        watch.connection = self
        if watch.ring is not None:
            watch.ring.readers[watch] = None
        self.mark(watch)

    def remove(self, id: int) -> None:
        """Ends a watch, if there is one of this id."""
        watch = self.watches.pop(id, None)
        if watch is None:
            return
        if watch.ring is not None:
            watch.ring.readers.pop(watch, None)
        watch.connection = None
        if watch.is_marked:
            self._unmark(watch)
        self._postponed.pop(watch, None)
        if watch.drawing is not None:
            watch.drawing.cancel()
        if watch.drawing is not None or watch.drawn is not None:
            self._finished_drawing()
        watch.drawing = watch.drawn = None
        watch.on_end()

    def forbid(self, watch: Watch, sentence: str) -> bool:
        """Ends a watch that is not allowed any longer: nothing more of it is sent, nor a snapshot
        that is being made. False when too many answers wait to tell the client."""
        self.remove(watch.id)
        return self.say(protocol.encode(protocol.Error("forbidden", sentence, watch.id)))

    def close(self) -> None:
        """Ends all watches; what is still to be written is dropped."""
        for id in list(self.watches):
            self.remove(id)
        # The two would keep one another until the garbage collector comes.
        self._sink.source = NOBODY

    def mark(self, watch: Watch) -> None:
        """A watch has something to write."""
        if watch.is_marked:
            return
        watch.is_marked = True
        last, self._last = self._last, watch
        if last is None:
            self._first = watch
            self._sink.wake()
        else:  # the sink is awake, or wakes when it can write again
            last.behind = watch

    def _unmark(self, watch: Watch) -> None:
        before, one = None, self._first
        while one is not watch and one is not None:
            before, one = one, one.behind
        if before is None:
            self._first = watch.behind
        else:
            before.behind = watch.behind
        if self._last is watch:
            self._last = before
        watch.behind, watch.is_marked = None, False

    # -- what the sink takes ---------------------------------------------------------------------

    def take_own(self) -> list[Message]:
        """The answers that wait, which are this connection's own."""
        if not self._control:
            return []
        taken = [dressed(text, self._sink.form) for text in self._control]
        self._control = None
        return taken

    def take(self, most_bytes: int) -> Taken:
        """What is to be written now, in order; beyond so many bytes the rest comes later."""
        taken = self.take_own() if self._control else []
        size = sum(map(len, taken)) if taken else 0
        form, oldest_ns = self._sink.form, 0
        while self._first is not None and size < most_bytes and len(taken) < TAKEN_AT_ONCE:
            watch = self._first
            self._first, watch.behind, watch.is_marked = watch.behind, None, False
            if self._first is None:
                self._last = None
            frame = watch.next_at_once() or self._next(watch)
            if frame is None:
                continue
            message = frame.made(watch.id, form, watch.is_conflated)
            watch.begun, watch.is_conflated = True, False
            taken.append(message)
            size += len(message)
            if frame.arrived_ns and (not oldest_ns or frame.arrived_ns < oldest_ns):
                oldest_ns = frame.arrived_ns
        if self._first is not None:
            self._sink.wake()
        elif self._beat is not None:
            taken.append(dressed(self._beat, form))
            self._beat = None
        return taken, oldest_ns

    def _next(self, watch: Watch) -> Frame | None:
        """What a watch is to be sent next; when that is a snapshot, begins to make it."""
        if watch.drawn is not None:
            return self._drawn(watch)
        if watch.drawing is not None or watch in self._postponed:
            return None
        ring, seq = watch.ring, watch.seq
        if ring is None or seq is None or not ring.reaches(watch.epoch, seq):
            watch.is_conflated = watch.begun and ring is not None and watch.epoch == ring.epoch
            self._begin_drawing(watch)
            return None
        if seq == ring.seq:
            return None
        frame = ring.missed(seq)
        if frame is None:
            watch.seq, watch.is_conflated = None, watch.begun
            self._begin_drawing(watch)
            return None
        watch.is_conflated = watch.begun and frame.seq > seq + 1 and seq != watch.drawn_seq
        watch.seq = frame.seq
        if frame.seq != ring.seq:
            self.mark(watch)
        return frame

    def _drawn(self, watch: Watch) -> Frame | None:
        frame, watch.drawn = watch.drawn, None
        self._finished_drawing()
        if watch.ring is None:
            self.remove(watch.id)
        else:
            self.mark(watch)
        return frame

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
            self.mark(watch)

    async def _draw(self, watch: Watch) -> None:
        """Makes the snapshot a watch needs; other watches go on meanwhile."""
        try:
            frame = await watch.picture()
            await frame.prepare(self._sink.form)
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
                watch.seq = watch.drawn_seq = int(seq)
            self.mark(watch)

    def _refuse(self, watch: Watch, code: protocol.ErrorCode, sentence: str) -> None:
        """The watch ends; its id is free again."""
        watch.drawing = None
        self._finished_drawing()
        self.remove(watch.id)
        self.say(protocol.encode(protocol.Error(code, sentence, watch.id)))
