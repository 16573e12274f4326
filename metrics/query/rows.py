"""What a node of an expression comes to: values by series and step, with what lies around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metrics.query.windows import Floats, Labels


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """The least and the greatest value since the step before, that of the step included.

    NaN where there was none; where there is a value, NaN says that they are not known.
    """

    low: Floats
    high: Floats

    def take(self, rows: Sequence[int]) -> Band:
        return Band(self.low[rows], self.high[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One row of ``values`` for each label set, one column for each step; NaN = no value."""

    labels: list[Labels]
    values: Floats
    band: Band | None = None

    def take(self, rows: Sequence[int]) -> Rows:
        """These rows, in this order."""
        if list(rows) == list(range(len(self.labels))):
            return self
        labels = [self.labels[row] for row in rows]
        return Rows(labels, self.values[rows], self.band and self.band.take(rows))

    def present(self) -> Rows:
        """Only the rows that have a value somewhere."""
        return self.take(np.flatnonzero(~np.isnan(self.values).all(axis=1)).tolist())

    def telling_band(self) -> Band | None:
        """The band, with the value where it is not known; None where that is all it says."""
        if self.band is None:
            return None
        low, high = np.fmin(self.band.low, self.values), np.fmax(self.band.high, self.values)
        return Band(low, high) if (low < high).any() else None
