"""Snapshots that were drawn a moment ago, for others who ask for the same, as after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import NamedTuple

from dashboard.frames import Frame

MOST_FRAMES = 256
MOST_BYTES = 32 * 1024 * 1024  # of their arrays; what is encoded of them comes on top


class Kept(NamedTuple):
    frame: Frame
    until_s: float
    bytes: int


class Finished:
    """The newest frames by what was asked; touched only from the event loop.

    What is too old is dropped when another frame comes, or by drop_old().
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._frames: dict[Hashable, Kept] = {}  # the oldest first
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def get(self, key: Hashable) -> Frame | None:
        kept = self._frames.get(key)
        return kept.frame if kept is not None and self._clock() < kept.until_s else None

    def put(self, key: Hashable, frame: Frame, keep_s: float) -> None:
        """Keeps a frame so long, in place of one of the same key."""
        self._drop(key)
        kept = self._frames[key] = Kept(frame, self._clock() + keep_s, frame.size_bytes())
        self._bytes += kept.bytes
        while len(self._frames) > MOST_FRAMES or self._bytes > MOST_BYTES:
            self._drop(next(iter(self._frames)))
        self.drop_old()

    def drop_old(self) -> None:
        now_s = self._clock()
        for key in [key for key, kept in self._frames.items() if kept.until_s <= now_s]:
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        kept = self._frames.pop(key, None)
        if kept is not None:
            self._bytes -= kept.bytes
