"""Ids that were jumped over.

PostgreSQL hands out ids before commit, so rows become visible out of order: an id that is missing
now may belong to a transaction that commits later, or to one that was rolled back.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

EAGER_S = 5.0  # a missing id is asked for at every look, this long
RARE_S = 3600.0  # and now and then this long: its transaction may be a long one
RARE_LOOK_S = 1.0
MOST = 10_000  # of more, the oldest are given up


class Gaps:
    """Remembers missing ids; `now_s` is always a monotonic time. Not thread-safe."""

    def __init__(self) -> None:
        self._since_s: dict[int, float] = {}
        self._looked_rarely_s = float("-inf")

    def __len__(self) -> int:
        return len(self._since_s)

    def note(self, after: int, newest: int, present: Container[int], now_s: float) -> None:
        """Everything in after+1..newest that is not `present` is missing."""
        for id in range(max(after, newest - MOST) + 1, newest + 1):
            if id not in present:
                self._since_s.setdefault(id, now_s)
        for id in list(self._since_s)[: max(0, len(self._since_s) - MOST)]:
            del self._since_s[id]

    def due(self, now_s: float) -> list[int]:
        """The ids to ask for now."""
        if now_s - self._looked_rarely_s < RARE_LOOK_S:
            return [id for id, since_s in self._since_s.items() if now_s - since_s < EAGER_S]
        self._looked_rarely_s = now_s
        for id in [id for id, since_s in self._since_s.items() if now_s - since_s >= RARE_S]:
            del self._since_s[id]
        return list(self._since_s)

    def close(self, ids: Iterable[int]) -> None:
        """These were found."""
        for id in ids:
            self._since_s.pop(id, None)
