"""The samples of many series as one flat array, and where windows of time begin and end in it.

One binary search over one array serves all series and all steps, so an update of one step for
a hundred series costs about as many numpy calls as one for a single series.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from metrics.query.select import Selector

Labels: TypeAlias = dict[str, str]
Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

BLOCK_SAMPLES = 32_768  # 256 KiB a column


@dataclass(frozen=True, slots=True, eq=False)
class SeriesData:
    """The samples of one series: ``times`` in ms, ascending and unique; no value is NaN.

    Where they stand for many samples (a rollup's), the rest says what is known of those between
    each and the one before it: their least and greatest value, itself included; what a counter
    lost in resets; how many distances between samples lie there. None: they are all there is.
    """

    labels: Labels
    times: Ints
    values: Floats
    low: Floats | None = None
    high: Floats | None = None
    lost: Floats | None = None
    distances: Floats | None = None


class Source(Protocol):
    """Where evaluate() gets samples from."""

    def select(self, selector: Selector, start_ms: int, end_ms: int) -> Sequence[SeriesData]:
        """The selected series with their samples of ``start_ms < time <= end_ms``."""
        ...


class Samples:
    """Series laid end to end: row ``r`` owns the samples ``starts[r]`` to ``starts[r + 1]``."""

    def __init__(self, series: Sequence[SeriesData], after_ms: int, end_ms: int) -> None:
        """Take at least one series, each with at least one sample.

        Only windows within ``after_ms`` (excluded) and ``end_ms`` (included) can be asked for.
        """
        self.labels = [one.labels for one in series]
        self.times: Ints = _end_to_end([one.times for one in series])
        self.values: Floats = _end_to_end([one.values for one in series])
        self._series = series
        self._lengths = np.array([len(one.times) for one in series], dtype=np.int64)
        self.starts: Ints = np.concatenate(([0], np.cumsum(self._lengths)))
        self._after_ms = after_ms
        self._span = end_ms - after_ms + 2
        self._row_keys = np.arange(len(series), dtype=np.int64) * self._span

    @cached_property
    def _keys(self) -> Ints:
        """Row r's times as r * span + (0 .. span - 1): ascending over the whole array.

        What lies outside the promised window falls on the first or the last of its row's keys.
        """
        keys = self.times - self._after_ms
        np.clip(keys, 0, self._span - 1, out=keys)
        keys += np.repeat(self._row_keys, self._lengths)
        return keys

    def count_until(self, bounds_ms: Ints) -> Ints:
        """For each row and bound, the index of the row's first sample later than the bound."""
        if len(self.labels) == 1:
            return np.searchsorted(self.times, bounds_ms, side="right")[np.newaxis]
        wanted = self._row_keys[:, np.newaxis] + (bounds_ms - self._after_ms)
        return np.searchsorted(self._keys, wanted, side="right")

    def low(self) -> Floats:
        """The least value that each sample stands for."""
        return self._with([one.low for one in self._series], self.values)

    def high(self) -> Floats:
        """The greatest value that each sample stands for."""
        return self._with([one.high for one in self._series], self.values)

    def lost(self) -> Floats:
        """What a counter lost between each sample and the one before it: the values before resets.

        A value lower than the one before it is a counter that began again at zero.
        """
        lost = np.zeros(len(self.values))
        lost[1:] = np.where(self.values[1:] < self.values[:-1], self.values[:-1], 0.0)
        lost[self.starts[:-1]] = 0.0  # from one series to the next is no reset
        return self._with([one.lost for one in self._series], lost)

    def distances(self, first: Ints, last: Ints) -> Floats | Ints:
        """How many distances between samples lie between these samples of the same row."""
        if all(one.distances is None for one in self._series):
            return last - first
        each = self._with([one.distances for one in self._series], np.ones(len(self.values)))
        totals = np.cumsum(each)
        return totals[last] - totals[first]

    def _with(self, known: Sequence[Floats | None], usual: Floats) -> Floats:
        """What the series know of their samples; where they do not say, what is usual."""
        if all(one is None for one in known):
            return usual
        parts = zip(known, self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True)
        return _end_to_end([usual[start:end] if one is None else one for one, start, end in parts])


def blocks(series: Sequence[SeriesData], after_ms: int, end_ms: int) -> list[Samples]:
    """The series that have samples, in order, a few at once.

    Many short series together cost about as much as one does, but a sample costs several times
    as much where arrays do not fit into the processor's cache and need new pages each time.
    """
    found: list[list[SeriesData]] = []
    held = BLOCK_SAMPLES
    for one in series:
        if not len(one.times):
            continue
        held += len(one.times)
        if held > BLOCK_SAMPLES:
            found.append([])
            held = len(one.times)
        found[-1].append(one)
    return [Samples(some, after_ms, end_ms) for some in found]


def _end_to_end(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
