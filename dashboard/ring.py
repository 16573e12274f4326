"""Ring and cursor: one mechanism for slow readers, reconnects and every kind of transport.

A feed appends frames to its ring; each reader keeps the number of the last one it has. A reader of
a query's ring that is several behind gets one update that holds all it has missed.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from typing import Protocol

from dashboard.conflation import merge
from dashboard.frames import Frame, GridFrame

RING_ENTRIES = 512
RING_BYTES = 1_048_576
MERGED_BYTES = 4 * RING_BYTES  # an update of many; beyond, its reader gets a snapshot
SHARED_MERGED = 8  # positions for which what was missed is kept merged, until the next entry
SHARED_ENTRIES = 8  # the newest entries keep what they were encoded to: later readers are few


class Reader(Protocol):
    def changed(self) -> None:
        """There is something new for whoever has a cursor."""


class Ring:
    """The newest frames of a feed, bounded in number and bytes; `readers` are told of each."""

    def __init__(self) -> None:
        # No set: in the order of their making they lie close together, which is twice as fast.
        self.readers: dict[Reader, None] = {}
        self._entries: deque[Frame] = deque()
        self._merged: dict[int, Frame | None] = {}  # by the number of the last one read
        self._bytes = 0
        self.begin()

    def begin(self) -> None:
        """Starts a new epoch: every cursor given out before leads to a snapshot."""
        # Not 0, which together with the number 0 means "no cursor" in a binary frame.
        self.epoch = f"{1 + secrets.randbelow(2**32 - 1):08x}"
        self.seq = 0
        self.newest: Frame | None = None
        self._entries.clear()
        self._merged.clear()
        self._bytes = 0
        self._tell()

    @property
    def cursor(self) -> str:
        return f"{self.epoch}:{self.seq}"

    def append(self, make: Callable[[str], Frame], arrived_ns: int = 0) -> None:
        """Adds a frame; `make` is given the cursor it is to carry."""
        self.seq += 1
        entry = make(self.cursor)
        entry.seq, entry.arrived_ns = self.seq, arrived_ns
        self._merged.clear()
        self._entries.append(entry)
        self.newest = entry
        self._bytes += entry.size_bytes()
        while len(self._entries) > RING_ENTRIES or (
            self._bytes > RING_BYTES and len(self._entries) > 1
        ):
            self._bytes -= self._entries.popleft().size_bytes()
        if len(self._entries) > SHARED_ENTRIES:
            self._entries[-1 - SHARED_ENTRIES].forget()
        self._tell()

    def position(self, cursor: str | None) -> int | None:
        """The number a cursor stands for; None when it is not of this epoch, or fell off."""
        epoch, _, number = (cursor or "").partition(":")
        if epoch != self.epoch or not (number.isascii() and number.isdigit() and len(number) < 19):
            return None
        seq = int(number)
        return seq if self.reaches(epoch, seq) else None

    def reaches(self, epoch: str, seq: int) -> bool:
        """Whether everything that came after `seq` is still here."""
        return epoch == self.epoch and 0 <= self.seq - seq <= len(self._entries)

    def after(self, seq: int) -> Frame | None:
        """The entry that follows `seq`, which the ring reaches; None when there is none yet."""
        missed = self.seq - seq
        return self._entries[-missed] if missed else None

    def missed(self, seq: int) -> Frame | None:
        """What somebody who has read as far as `seq`, which the ring reaches, is to be sent next.

        The entry that follows; of a query, when several do, one update that holds them all. Its
        `seq` is the number to go on from. None when that is larger than a snapshot would be.
        """
        behind = self.seq - seq
        entry = self._entries[-behind]
        if behind == 1 or not isinstance(entry, GridFrame):
            return entry
        if seq in self._merged:
            return self._merged[seq]
        merged = self._merge(behind)
        if len(self._merged) < SHARED_MERGED:
            self._merged[seq] = merged
        return merged

    def _merge(self, behind: int) -> Frame | None:
        entries = [self._entries[number] for number in range(-behind, 0)]
        grids = [one.grid for one in entries if isinstance(one, GridFrame)]
        grid = merge(grids, MERGED_BYTES)
        if grid is None:
            return None
        frame = GridFrame(grid, self.cursor)
        frame.seq, frame.arrived_ns = self.seq, entries[0].arrived_ns
        return frame

    def _tell(self) -> None:
        for reader in self.readers:
            reader.changed()
