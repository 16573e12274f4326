"""One of a connection's watches: what of it was sent, and what is to be sent next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from dashboard.frames import Frame
from dashboard.ring import Ring

if TYPE_CHECKING:
    from dashboard.connection import Connection
    from dashboard.sharing import Subject

# Makes a snapshot. Raises ExpressionError or WatchRefused with a sentence.
Picture = Callable[[], Awaitable[Frame]]


def _nothing() -> None:
    pass


class Watch:
    """One of a connection's watches. Without a `ring` it is answered once."""

    __slots__ = (
        "begun", "behind", "connection", "drawing", "drawn", "drawn_seq", "epoch", "id",
        "is_conflated", "is_marked", "on_end", "picture", "ring", "seq", "subject",
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
