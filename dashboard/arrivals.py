"""Puts batches into the order of the log, as far as it matters.

A process's own batches come at once, by the bell; those of others a little later, by the tail. Of
two samples with the same series and time the one in the later batch counts, so a batch that
comes late must not cover what a later one has corrected.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from metrics.bell import Committed
from metrics.columns import Columns

KEPT_BATCHES = 1000
KEPT_SAMPLES = 500_000


class Arrivals:
    """Remembers the latest batches. One that is later than all of these is taken as it comes."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Columns]] = deque()
        self._ids: set[int] = set()
        self._samples = 0
        self._newest = 0

    def is_known(self, committed: Committed) -> bool:
        """Whether a batch was taken before."""
        return committed.id in self._ids

    def take(self, committed: Committed) -> list[Columns]:
        """What to apply, in this order: the batch, then again what later ones say of its series."""
        columns = committed.columns
        later = []
        if committed.id < self._newest:
            newer = (one for one in self._kept if one[0] > committed.id)
            later = sorted(newer, key=lambda one: one[0])
        self._keep(committed.id, columns)
        again = [kept.take(np.isin(kept.series, columns.series)) for _, kept in later]
        return [columns, *(part for part in again if len(part))]

    def _keep(self, id: int, columns: Columns) -> None:
        self._newest = max(self._newest, id)
        self._kept.append((id, columns))
        self._ids.add(id)
        self._samples += len(columns)
        while len(self._kept) > KEPT_BATCHES or self._samples > KEPT_SAMPLES:
            dropped, old = self._kept.popleft()
            self._ids.discard(dropped)
            self._samples -= len(old)
