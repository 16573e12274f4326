"""Ring and cursor: one mechanism for slow readers, reconnects and every kind of transport.

A feed appends encoded frames to its ring; each reader keeps the number of the last one it has.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable

RING_ENTRIES = 512
RING_BYTES = 1_048_576
SHARED_IDS = 8  # watch ids for which a frame keeps its finished text
SHARED_ENTRIES = 8  # the newest entries keep theirs: later readers are few


class Frame:
    """A frame encoded once; only the watch's own id is put in for each of the ids in use.

    Pages of one dashboard give their watches the same ids, so the same text goes to all of them.
    """

    __slots__ = ("_head", "_tail", "_texts", "cursor")

    def __init__(self, encoded: str, cursor: str) -> None:
        """`encoded` has the watch id 0, as its first field."""
        self.cursor = cursor
        head, _, tail = encoded.partition('"id":0,')
        self._head, self._tail = f'{head}"id":', f",{tail}"
        self._texts: dict[int, str] = {}

    def text(self, id: int) -> str:
        text = self._texts.get(id)
        if text is None:
            text = f"{self._head}{id}{self._tail}"
            if len(self._texts) < SHARED_IDS:
                self._texts[id] = text
        return text

    def forget_texts(self) -> None:
        self._texts.clear()

    def __len__(self) -> int:
        return len(self._head) + len(self._tail)


class Entry(Frame):
    """A frame in a ring. `arrived_ns` is time.monotonic_ns() of what it tells; 0 if unknown."""

    __slots__ = ("arrived_ns", "seq")

    def __init__(self, encoded: str, cursor: str, seq: int, arrived_ns: int) -> None:
        super().__init__(encoded, cursor)
        self.seq = seq
        self.arrived_ns = arrived_ns


class Ring:
    """The newest frames of a feed, bounded in number and bytes.

    `readers` are called, each time, when there is something new for whoever has a cursor.
    """

    def __init__(self) -> None:
        self.readers: set[Callable[[], None]] = set()
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self.begin()

    def begin(self) -> None:
        """Starts a new epoch: every cursor given out before leads to a snapshot."""
        self.epoch = secrets.token_hex(4)
        self.seq = 0
        self._entries.clear()
        self._bytes = 0
        self._tell()

    @property
    def cursor(self) -> str:
        return f"{self.epoch}:{self.seq}"

    def append(self, encode: Callable[[str], str], arrived_ns: int = 0) -> None:
        """Adds a frame; `encode` is given the cursor it is to carry and encodes it with id 0."""
        self.seq += 1
        entry = Entry(encode(self.cursor), self.cursor, self.seq, arrived_ns)
        self._entries.append(entry)
        self._bytes += len(entry)
        while len(self._entries) > RING_ENTRIES or (
            self._bytes > RING_BYTES and len(self._entries) > 1
        ):
            self._bytes -= len(self._entries.popleft())
        if len(self._entries) > SHARED_ENTRIES:
            self._entries[-1 - SHARED_ENTRIES].forget_texts()
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

    def after(self, seq: int) -> Entry | None:
        """The entry that follows `seq`, which the ring reaches; None when there is none yet."""
        missed = self.seq - seq
        return self._entries[-missed] if missed else None

    def _tell(self) -> None:
        for reader in self.readers:
            reader()
