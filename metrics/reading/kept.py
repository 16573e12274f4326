"""Rollups that were read lately, decoded: charts that are looked at ask for the same again."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from metrics.rollups import Rollup

KEPT_BYTES = 32 * 1024 * 1024  # of arrays
ASKED = 4096  # chunks that were read once: of these it is known that they come again

Key = tuple[bytes, frozenset[str]]  # a chunk as it is stored, and the columns that were decoded


class Kept:
    """Least recently used goes first. A chunk is known by its bytes, so a changed one is another.

    Arrays that are kept cannot be written to.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._rollups: OrderedDict[Key, Rollup] = OrderedDict()
        self._asked: OrderedDict[int, None] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Rollup | None:
        with self._lock:
            found = self._rollups.get(key)
            if found is not None:
                self._rollups.move_to_end(key)
            return found

    def is_wanted(self, key: Key) -> bool:
        """Whether to keep it: when it is asked for again."""
        asked = hash(key)
        with self._lock:
            if asked in self._asked:
                return True
            self._asked[asked] = None
            if len(self._asked) > ASKED:
                self._asked.popitem(last=False)
            return False

    def add(self, key: Key, rollup: Rollup) -> None:
        for column in rollup.columns():
            column.flags.writeable = False
        with self._lock:
            if key in self._rollups:
                return
            self._rollups[key] = rollup
            self._bytes += _size(key, rollup)
            while self._bytes > self._most_bytes:
                self._bytes -= _size(*self._rollups.popitem(last=False))

    def forget(self) -> None:
        with self._lock:
            self._rollups.clear()
            self._asked.clear()
            self._bytes = 0


def _size(key: Key, rollup: Rollup) -> int:
    return len(key[0]) + sum(column.nbytes for column in rollup.columns())
