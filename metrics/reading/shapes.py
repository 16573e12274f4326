"""Buckets and samples of one series as what evaluate() reads; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from metrics.chunks import RESOLUTIONS_MS
from metrics.codec import ALL, Rows
from metrics.columns import Ints
from metrics.query import SeriesData
from metrics.query.windows import Labels
from metrics.reading.decoding import Line, Wanted
from metrics.rollups import Rollup

_GAUGE = frozenset(("last_ms", "last", "min", "max"))
_GAUGE_MEAN = _GAUGE | {"first_ms", "sum", "count"}
_COUNTER = frozenset(("first_ms", "first", "last_ms", "last", "resets", "count"))

MANY_A_STEP = 4  # buckets between two steps: so many are worth the work of making them one

Piece = tuple[NDArray[Any], ...]
Borders = Mapping[int, Ints]  # resolution -> times that are no border of its buckets


def _borders_within(steps_ms: Ints, range_ms: int) -> Borders:
    """Where steps, or the windows (step - range, step], begin and end within a bucket."""
    found = {}
    for resolution_ms in RESOLUTIONS_MS[1:]:
        within = steps_ms[steps_ms % resolution_ms != 0]
        if range_ms:
            begins = steps_ms - range_ms
            begins = begins[begins % resolution_ms != 0] + 1  # the first ms of the window
            within = np.unique(np.concatenate((within, begins)))
        found[resolution_ms] = within
    return found


class Shape(Wanted, Protocol):
    """What a query needs of buckets; the rest of them is not kept in memory."""

    def pieces(self, rollup: Rollup) -> list[Piece]:
        """Columns, the time first, for a rollup."""
        ...

    def data(self, labels: Labels, pieces: list[Piece], samples: Line) -> SeriesData:
        """A series, of the pieces of all its rollups and the samples of other times."""
        ...


class Gauge:
    """A bucket is its last sample, at that one's time, with the bucket's least and greatest.

    In buckets longer than the lookback, which are read where finer ones were not kept, the steps
    get the bucket's mean: an old chart shall be coarse, not full of holes.
    """

    def __init__(self, steps_ms: Ints, lookback_ms: int) -> None:
        # The step before the first one counts: what lies before it is in no step.
        self._borders = np.append(2 * steps_ms[:1] - steps_ms[1:2], steps_ms)
        within = _borders_within(steps_ms, 0)
        # The last sample of a shorter bucket is new enough for the steps in the next one.
        self._steps = {ms: steps for ms, steps in within.items() if ms > lookback_ms and len(steps)}

    def columns(self, resolution_ms: int) -> frozenset[str]:
        return _GAUGE_MEAN if resolution_ms in self._steps else _GAUGE

    def seen(self, end_ms: Ints, resolution_ms: int) -> Rows:
        return ALL

    def pieces(self, rollup: Rollup) -> list[Piece]:
        found = [self._by_steps((rollup.last_ms, rollup.last, rollup.min, rollup.max))]
        if rollup.resolution_ms in self._steps:
            inside, at = _inside(rollup, self._steps)
            if len(inside):
                mean = rollup.sum[at] / rollup.count[at]
                found.append((inside, mean, rollup.min[at], rollup.max[at]))
        return found

    def _by_steps(self, piece: Piece) -> Piece:
        """One row for all between one step and the next, where they are many."""
        times, values, low, high = piece
        if len(times) < 2 or len(self._borders) < 2:
            return piece
        begin, end = np.searchsorted(self._borders, times[[0, -1]]).tolist()
        if len(times) < MANY_A_STEP * (end - begin + 1):
            return piece
        inner = np.searchsorted(times, self._borders[begin:end], side="right")
        starts = np.concatenate(([0], inner[inner > np.concatenate(([0], inner[:-1]))]))
        lasts = np.concatenate((starts[1:], [len(times)])) - 1
        return (
            times[lasts],
            values[lasts],
            np.minimum.reduceat(low, starts),
            np.maximum.reduceat(high, starts),
        )

    def data(self, labels: Labels, pieces: list[Piece], samples: Line) -> SeriesData:
        if not pieces:
            return SeriesData(labels, *samples)
        own = self._by_steps((*samples, samples[1], samples[1]))
        times, values, low, high = _in_order([*pieces, own])
        return SeriesData(labels, times, values, low, high)


class Counter:
    """A bucket is its first and its last sample, and what the counter lost between them.

    So a window of whole buckets shows what it shows of the samples themselves. At a border that
    lies within a bucket the counter gets a sample of its own, as if it had grown evenly.
    Buckets in no window (step - range, step] are left out.
    """

    def __init__(self, steps_ms: Ints, range_ms: int) -> None:
        self._borders = _borders_within(steps_ms, range_ms)
        self._steps_ms = steps_ms
        self._range_ms = range_ms

    def columns(self, resolution_ms: int) -> frozenset[str]:
        return _COUNTER

    def seen(self, end_ms: Ints, resolution_ms: int) -> Rows:
        """Those that a window reaches into: a year has many between its steps."""
        if not len(end_ms):
            return ALL
        steps_ms = self._steps_ms
        begin = np.searchsorted(steps_ms, end_ms[0] - resolution_ms, side="right")
        end = np.searchsorted(steps_ms, end_ms[-1] + self._range_ms)
        steps_ms = steps_ms[begin:end]
        begins = np.searchsorted(end_ms, steps_ms - self._range_ms, side="right")
        ends = np.searchsorted(end_ms, steps_ms + resolution_ms)
        begins[1:] = np.maximum(begins[1:], ends[:-1])  # windows may overlap
        counts = np.maximum(ends - begins, 0)
        before = np.cumsum(counts)
        if not len(before) or before[-1] < len(end_ms):
            return np.repeat(begins - before + counts, counts) + np.arange(counts.sum())
        return ALL

    def pieces(self, rollup: Rollup) -> list[Piece]:
        """Times, values, and since the bucket's first sample: losses, distances of samples."""
        seen = self.seen(rollup.end_ms, rollup.resolution_ms)
        if seen is not ALL:
            columns = (column[seen] for column in rollup.columns())
            rollup = Rollup(rollup.resolution_ms, *columns)
        none, many = np.zeros(len(rollup)), rollup.last_ms > rollup.first_ms
        gaps = rollup.count - 1.0
        lasts = (rollup.last_ms, rollup.last, rollup.resets, gaps)
        found: list[Piece] = [
            (rollup.first_ms, rollup.first, none, none),
            tuple(column[many] for column in lasts),
        ]
        inside, at = _inside(rollup, self._borders)
        if len(inside):
            first_ms, first, last = rollup.first_ms[at], rollup.first[at], rollup.last[at]
            share = (inside - first_ms) / (rollup.last_ms[at] - first_ms)
            value = first + share * (last - first)
            found.append((inside, value, share * rollup.resets[at], share * gaps[at]))
        return found

    def data(self, labels: Labels, pieces: list[Piece], samples: Line) -> SeriesData:
        if not pieces:
            return SeriesData(labels, *samples)
        none = np.zeros(len(samples[0]))
        times, values, lost, distances = _in_order([*pieces, (*samples, none, none)])
        begins = distances[1:] == 0  # a bucket, or a sample; not what follows within a bucket
        fell = np.where(values[1:] < values[:-1], values[:-1], 0.0)
        lost[1:] = np.where(begins, fell, lost[1:] - lost[:-1])
        distances[1:] = np.where(begins, 1.0, distances[1:] - distances[:-1])
        return SeriesData(labels, times, values, lost=lost, distances=distances)


def _inside(rollup: Rollup, borders: Borders) -> tuple[Ints, Ints]:
    """Borders that lie between the first and the last sample of a bucket, and of which."""
    times = borders[rollup.resolution_ms]
    if not len(times) or not len(rollup):
        return times[:0], times[:0]
    begin, end = np.searchsorted(times, (rollup.first_ms[0], rollup.last_ms[-1])).tolist()
    times = times[begin:end]
    at = np.searchsorted(rollup.first_ms, times) - 1
    inside = (at >= 0) & (times < rollup.last_ms[at])
    return times[inside], at[inside]


def _in_order(parts: Sequence[Piece]) -> list[NDArray[Any]]:
    """The columns of all parts end to end, sorted by the first, which is the time."""
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    if (columns[0][1:] > columns[0][:-1]).all():
        return columns
    order = np.argsort(columns[0], kind="stable")
    return [column[order] for column in columns]
