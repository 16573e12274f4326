"""What is stored to be measured: random walks with two decimals, and counters; always the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SECOND_MS = 1_000
HOUR_MS = 3_600_000
GAUGE, COUNTER = "bench_gauge", "bench_total"


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One series: its metric, the value of its one label `line`, times in ms, values."""

    metric: str
    label: str
    times: NDArray[np.int64]
    values: NDArray[np.float64]

    def since(self, start_ms: int) -> Line:
        """What comes after `start_ms`."""
        begin = int(np.searchsorted(self.times, start_ms, side="right"))
        return Line(self.metric, self.label, self.times[begin:], self.values[begin:])


def gauge(number: int, end_ms: int, count: int, step_ms: int = SECOND_MS) -> Line:
    """A random walk with two decimals, by about 1 a step: some 8 bits of it are news each time."""
    steps = np.random.default_rng(number).normal(0, 1, count)
    values = (50 + np.cumsum(steps)).round(2) + 0.0
    return Line(GAUGE, str(number), _times(end_ms, count, step_ms), values)


def counter(number: int, end_ms: int, count: int, step_ms: int = SECOND_MS) -> Line:
    """Requests: about ten a second, never falling."""
    grown = np.random.default_rng(1_000_000 + number).poisson(10 * step_ms / SECOND_MS, count)
    values = np.cumsum(grown).astype(np.float64)
    return Line(COUNTER, str(number), _times(end_ms, count, step_ms), values)


def _times(end_ms: int, count: int, step_ms: int) -> NDArray[np.int64]:
    """`count` times up to and including `end_ms`."""
    return end_ms - step_ms * np.arange(count - 1, -1, -1, dtype=np.int64)
