"""One watcher: a cursor per watch, and what is to be written next.

Nothing is queued for a connection: what it has not read yet lies in the rings, which it shares
with everybody. One that reads slowly falls behind and gets what it has missed in one update, and
when it has fallen off a ring it gets a snapshot.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from django import db

from dashboard import protocol
from dashboard.cohort import Cohort, Plan
from dashboard.frames import Frame, Message, dressed
from dashboard.protocol import WatchRefused
from dashboard.sinks import NOBODY, Sink, Taken
from dashboard.watch import Watch
from metrics.query import ExpressionError

logger = logging.getLogger(__name__)

CONTROL_FRAMES = 200  # answers that wait for a client that does not read them
DRAWN_AT_ONCE = 4  # snapshots that are made, or wait to be sent, for one client
TAKEN_AT_ONCE = 60  # messages


class Connection:
    """What is to be written goes out through `sink`, which takes it when the network does."""

    __slots__ = (
        "_beat", "_cohort", "_control", "_drawn_now", "_first", "_last", "_postponed", "_sink",
        "watches",
    )  # fmt: skip

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        sink.source = self
        self._control: deque[str] | None = None
        self._beat: str | None = None
        self._cohort: Cohort | None = None  # then nothing waits here
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
        self.leave_cohort()
        if self._control is None:
            self._control = deque()
        if len(self._control) >= CONTROL_FRAMES:
            return False
        self._control.append(frame)
        self._sink.wake()
        return True

    def beat(self, frame: str) -> None:
        """The heartbeat: of several that could not be written only the newest counts."""
        if self._cohort is not None:
            self._cohort.beat(frame)
            return
        self._beat = frame
        self._sink.wake()

    def add(self, watch: Watch) -> None:
        self.leave_cohort()
        self.watches[watch.id] = watch
        watch.connection = self
        if watch.ring is not None:
            watch.ring.readers[watch] = None
        self.mark(watch)

    def remove(self, id: int) -> None:
        """Ends a watch, if there is one of this id."""
        if id not in self.watches:
            return
        self.leave_cohort()
        watch = self.watches.pop(id)
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

    # -- with others -----------------------------------------------------------------------------

    def plan(self) -> Plan | None:
        """What it watches, if it has been told everything, has nothing of its own to be told, and
        is in no cohort yet."""
        if (
            self._cohort is not None
            or self._first is not None
            or self._control
            or self._beat is not None
            or self._drawn_now
            or not self.watches
        ):
            return None
        plan = []
        for watch in self.watches.values():
            ring = watch.ring
            if ring is None or watch.seq != ring.seq or watch.epoch != ring.epoch:
                return None
            if not watch.begun:
                return None
            plan.append((ring, watch.id))
        return tuple(plan)

    def enter(self, cohort: Cohort) -> None:
        """From now on the cohort reads the rings, for all its members."""
        self._cohort = cohort
        for watch in self.watches.values():
            assert watch.ring is not None
            watch.ring.readers.pop(watch, None)

    def leave_cohort(self, missed: bool = False) -> None:
        """Goes on alone from where the cohort is, or where it was when it `missed` this one."""
        cohort, self._cohort = self._cohort, None
        if cohort is None:
            return
        missed, self._beat = cohort.leave(self, missed)
        for watch in self.watches.values():
            part = cohort.parts[watch.id]
            watch.epoch, watch.seq = part.epoch, part.before if missed else part.seq
            part.ring.readers[watch] = None
            if watch.seq != part.ring.seq or watch.epoch != part.ring.epoch:
                self.mark(watch)
        if self._beat is not None:
            self._sink.wake()

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
