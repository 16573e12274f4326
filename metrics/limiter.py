"""At most so many attempts per key and minute, remembered in this process."""

from __future__ import annotations

import threading
from collections import OrderedDict

WINDOW_MS = 60_000


class Limiter:
    """A token bucket per key: `per_minute` at once, refilled evenly.

    Bounded: of more than `keys` keys the least recently used are forgotten. Times are ms of any
    clock that is the same for all calls.
    """

    def __init__(self, per_minute: int, keys: int = 10_000) -> None:
        self.per_minute = per_minute
        self.keys = keys
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_ms(self, key: str, now_ms: int) -> int:
        """How long until the next attempt is allowed; 0: now. Counts nothing."""
        with self._lock:
            left = self._left(key, now_ms)
        return 0 if left >= 1 else int((1 - left) * WINDOW_MS / self.per_minute) + 1

    def count(self, key: str, now_ms: int) -> None:
        """Counts one attempt."""
        with self._lock:
            self._buckets[key] = (max(0.0, self._left(key, now_ms) - 1), now_ms)
            self._buckets.move_to_end(key)
            while len(self._buckets) > self.keys:
                self._buckets.popitem(last=False)

    def give_back(self, key: str, now_ms: int) -> None:
        """Takes one attempt back: it was a good one."""
        with self._lock:
            left = min(float(self.per_minute), self._left(key, now_ms) + 1)
            self._buckets[key] = (left, now_ms)

    def clear(self) -> None:
        """Forgets every key."""
        with self._lock:
            self._buckets.clear()

    def _left(self, key: str, now_ms: int) -> float:
        left, at_ms = self._buckets.get(key, (float(self.per_minute), now_ms))
        passed_ms = max(0, now_ms - at_ms)
        return min(float(self.per_minute), left + passed_ms * self.per_minute / WINDOW_MS)
