"""A source that answers from rollups and samples in memory, as metrics.reader does from rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metrics.query import Selector, SeriesData
from metrics.reading import shapes
from metrics.reading.decoding import Line
from metrics.rollups import roll
from tests.support.memory_source import Sample

LABELS = {"__name__": "x_total"}


def arrays(samples: Sequence[Sample]) -> Line:
    times = np.array([time for time, _ in samples], np.int64)
    return times, np.array([value for _, value in samples], np.float64)


@dataclass
class RolledSource:
    """One series: each part in buckets of so many ms (0: as samples), the parts in order."""

    parts: list[tuple[int, list[Sample]]]
    step_ms: int
    lookback_ms: int

    def select(self, selector: Selector, start_ms: int, end_ms: int) -> list[SeriesData]:
        rollups = [
            roll(*arrays(part), resolution_ms)
            for resolution_ms, part in self.parts
            if resolution_ms
        ]
        raw = arrays(
            [one for resolution_ms, part in self.parts if not resolution_ms for one in part]
        )
        steps_ms = np.arange(end_ms, start_ms, -self.step_ms, dtype=np.int64)[::-1]
        shape: shapes.Shape = shapes.Gauge(steps_ms, self.lookback_ms)
        if selector.range_ms:
            shape = shapes.Counter(steps_ms, selector.range_ms)
        pieces = [piece for rollup in rollups for piece in shape.pieces(rollup)]
        return [shape.data(LABELS, pieces, raw)]
