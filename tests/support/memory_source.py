"""Small series and readable results, for tests of queries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from metrics.query import Matrix, Selector, SeriesData, evaluate, parse

Sample = tuple[int, float]


def series(name: str, samples: Sequence[Sample], **labels: str) -> SeriesData:
    times = np.array([time for time, _ in samples], dtype=np.int64)
    values = np.array([value for _, value in samples], dtype=np.float64)
    return SeriesData({"__name__": name, **labels}, times, values)


@dataclass
class Memory:
    """A source that holds its series in a list and remembers what it was asked."""

    series: list[SeriesData]
    asked: list[tuple[int, int]] = field(default_factory=list)

    def select(self, selector: Selector, start_ms: int, end_ms: int) -> list[SeriesData]:
        self.asked.append((start_ms, end_ms))
        found = []
        for one in self.series:
            if selector.matches(one.labels):
                inside = (one.times > start_ms) & (one.times <= end_ms)
                found.append(SeriesData(one.labels, one.times[inside], one.values[inside]))
        return found


def run(text: str, held: list[SeriesData], start: int, end: int, step: int = 1000) -> Matrix:
    return evaluate(parse(text), Memory(held), start, end, step, lookback_ms=5000)


def table(matrix: Matrix) -> dict[str, list[float | None]]:
    """Values by labels, with None for no value."""
    return {
        ",".join(f"{name}={value}" for name, value in sorted(labels.items())): [
            None if math.isnan(value) else value for value in row
        ]
        for labels, row in zip(matrix.labels, matrix.values.tolist(), strict=True)
    }


def at_once(text: str, held: list[SeriesData], time: int) -> dict[str, list[float | None]]:
    return table(run(text, held, time, time))
