"""Connections that watch the very same and have been told the very same.

What one of them is to be told next, all are: it is put together once and written to each, without a
look at the connections themselves. That is how a crowd before one dashboard is served. Whoever has
anything of its own (an answer, another watch, a right that went, a network that takes no more)
leaves, is served for itself, and may come back when it is level with the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from dashboard.frames import Form, Message, dressed
from dashboard.ring import Ring

if TYPE_CHECKING:
    from dashboard.sinks import Socket

logger = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024  # in one round; beyond, each is served for itself

# A ring and the id under which its frames are watched.
Plan = tuple[tuple[Ring, int], ...]


class Member(Protocol):
    """What may be one of a cohort (dashboard.connection)."""

    def plan(self) -> Plan | None:
        """What it watches, if it has been told everything, has nothing of its own to be told, and
        is in no cohort yet."""

    def enter(self, cohort: Cohort) -> None:
        """From now on the cohort reads the rings, for all its members."""

    def leave_cohort(self, missed: bool = False) -> None:
        """Goes on alone from where the cohort is, or where it was when it `missed` this one."""

    def beat(self, frame: str) -> None:
        """The heartbeat: of several that could not be written only the newest counts."""


class Part:
    """How far the members have read one ring; `before`: those who wait for their turn."""

    __slots__ = ("before", "cohort", "epoch", "id", "is_marked", "ring", "seq")

    def __init__(self, cohort: Cohort, ring: Ring, id: int) -> None:
        self.cohort = cohort
        self.ring = ring
        self.id = id
        self.epoch = ring.epoch
        self.seq = self.before = ring.seq
        self.is_marked = False
        ring.readers[self] = None

    def changed(self) -> None:
        if not self.is_marked:
            self.is_marked = True
            self.cohort.mark(self)


class Cohort:
    """`wake` is called when there is something to write; then write_some() until it says False."""

    __slots__ = (
        "_at", "_beat", "_beat_told", "_data", "_due", "_forget", "_marked", "_members", "_places",
        "_wake", "_whose", "arrived_ns", "form", "frames", "parts", "size",
    )  # fmt: skip

    def __init__(
        self, plan: Plan, form: Form, wake: Callable[[Cohort], None], forget: Callable[[], None]
    ) -> None:
        self.form = form
        self.parts = {id: Part(self, ring, id) for ring, id in plan}
        self._wake = wake
        self._forget = forget
        self._members: dict[Member, Socket] = {}
        self._marked: list[Part] = []
        self._beat: str | None = None
        # The round that is going on: what is written to each, and who is still to get it.
        self._data = b""
        self._beat_told: str | None = None
        self._due: list[Socket | None] = []
        self._whose: list[Member] = []
        self._places: dict[Member, int] | None = None
        self._at = 0
        # What each is written in it: messages, bytes, and since when the oldest sample waits.
        self.frames = self.size = self.arrived_ns = 0

    def __len__(self) -> int:
        return len(self._members)

    def join(self, member: Member, socket: Socket) -> bool:
        """Takes in one that has read everything; False while the members have not."""
        if self._marked or self._beat is not None:
            return False
        self._members[member] = socket
        return True

    def leave(self, member: Member, missed: bool = False) -> tuple[bool, str | None]:
        """Lets one go: whether the round that is going on has `missed` it, and a heartbeat that
        it was still to get."""
        del self._members[member]
        missed = missed or self._is_due(member)
        if not self._members:
            for part in self.parts.values():
                part.ring.readers.pop(part, None)
            self._forget()
        return missed, self._beat or (self._beat_told if missed else None)

    def _is_due(self, member: Member) -> bool:
        if not self._due:
            return False
        if self._places is None:
            self._places = {one: place for place, one in enumerate(self._whose)}
        place = self._places.get(member, -1)
        if place < self._at or self._due[place] is None:
            return False
        self._due[place] = None
        return True

    # -- what there is to write ------------------------------------------------------------------

    def mark(self, part: Part) -> None:
        self._wake_up()
        self._marked.append(part)

    def beat(self, frame: str) -> None:
        """The heartbeat, for every member."""
        self._wake_up()
        self._beat = frame

    def _wake_up(self) -> None:
        if not self._due and not self._marked and self._beat is None:
            self._wake(self)

    def write_some(self, most: int) -> tuple[int, bool]:
        """Writes to the next few members; to how many, and whether there is more to do."""
        if not self._due:
            self._begin()
        written = 0
        for at in range(self._at, min(self._at + most, len(self._due))):
            self._at = at + 1
            socket = self._due[at]
            if socket is None:
                continue
            if not socket.may_write():
                self._whose[at].leave_cohort(missed=True)
                continue
            try:
                socket.write(self._data)
            except Exception:
                logger.exception("a live socket cannot be written")
                socket.close(1011, "a frame could not be sent")
            written += 1
        if self._at >= len(self._due):
            self._due, self._whose, self._places, self._at = [], [], None, 0
            self._data = b""  # there may be as many cohorts as sockets
        return written, bool(self._due or self._marked or self._beat is not None)

    def _begin(self) -> None:
        """Begins a round; where more is needed than the rings hold, each goes its own way."""
        marked, self._marked = self._marked, []
        self._beat_told, self._beat = self._beat, None
        messages: list[Message] = []
        self.arrived_ns = 0
        for part in self.parts.values():
            part.before, part.is_marked = part.seq, False
        if not self._read_all(marked, messages):
            for part in marked:
                part.seq = part.before
            for member in list(self._members):
                member.leave_cohort()
                if self._beat_told is not None:
                    member.beat(self._beat_told)
            return
        if self._beat_told is not None:
            messages.append(dressed(self._beat_told, self.form))
        self._data = b"".join(messages)  # type: ignore[arg-type]
        self.frames, self.size = len(messages), len(self._data)
        if messages:
            self._whose, self._due = list(self._members), list(self._members.values())

    def _read_all(self, marked: list[Part], messages: list[Message]) -> bool:
        try:
            return all(self._read(part, messages) for part in marked)
        except Exception:
            logger.exception("a frame could not be made")
            return False

    def _read(self, part: Part, messages: list[Message]) -> bool:
        ring = part.ring
        if not ring.reaches(part.epoch, part.seq):
            return False
        while part.seq != ring.seq:
            frame = ring.missed(part.seq)
            if frame is None:
                return False
            messages.append(frame.made(part.id, self.form, frame.seq > part.seq + 1))
            part.seq = frame.seq
            if frame.arrived_ns and (not self.arrived_ns or frame.arrived_ns < self.arrived_ns):
                self.arrived_ns = frame.arrived_ns
        return sum(map(len, messages)) <= MOST_BYTES


class Cohorts:
    """Those of an event loop, by what is watched; `wake` is each one's."""

    def __init__(self, wake: Callable[[Cohort], None]) -> None:
        self._wake = wake
        self._cohorts: dict[tuple[Form, Plan], Cohort] = {}

    def __len__(self) -> int:
        return len(self._cohorts)

    def offer(self, member: Member, socket: Socket, form: Form) -> None:
        """Has one join its like, if it has been told everything and has nothing of its own."""
        plan = member.plan()
        if plan is None:
            return
        key = form, plan
        cohort = self._cohorts.get(key)
        if cohort is None:
            cohort = Cohort(plan, form, self._wake, lambda: self._end(key))
            self._cohorts[key] = cohort
        if cohort.join(member, socket):
            member.enter(cohort)

    def _end(self, key: tuple[Form, Plan]) -> None:
        del self._cohorts[key]
