"""Rollups, joined with the samples that are not rolled up yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from metrics import chunks
from metrics.chunks import SAMPLES
from metrics.columns import Ints
from metrics.query import EvaluationError, SeriesData
from metrics.query.windows import Labels
from metrics.reading import decoding, late, unsealed
from metrics.reading.budget import Budget
from metrics.reading.decoding import NOTHING, Line
from metrics.reading.lines import between, end_to_end, merge, split
from metrics.reading.shapes import Piece, Shape
from metrics.resolution import instead_of
from metrics.rollups import Rollup

RAW_WINDOW_MS = chunks.WINDOW_MS[SAMPLES]
FEW_WINDOWS = 20  # more are asked for as a range


@dataclass(slots=True)
class Mixed:
    """One series: buckets where they are made already, and samples; no time is in both.

    The pieces are in no order, and maybe of several resolutions; no two buckets overlap.
    """

    shape: Shape

    covered_ms: int  # nothing was found before; not looked for elsewhere yet
    samples: Line = NOTHING
    raw_windows: set[int] = field(default_factory=set)  # starts of those that `samples` answer
    loose: Ints = field(default_factory=lambda: NOTHING[0])  # times of samples in no such window
    pieces: list[Piece] = field(default_factory=list)

    def add(self, found: Rollup) -> None:
        """Takes buckets, but for those that the samples stand for."""
        if not len(found):
            return
        taken = np.zeros(len(found), np.bool_)
        first_ms, last_ms = int(found.end_ms[0]), int(found.end_ms[-1])
        for start_ms in self.raw_windows:
            end_ms = start_ms + RAW_WINDOW_MS
            if start_ms < last_ms and first_ms <= end_ms:
                taken |= (found.end_ms > start_ms) & (found.end_ms <= end_ms)
        if len(self.loose):
            # Late ones, of which the chunk is gone: until rolled up they stand for their buckets.
            ends_ms = -(-self.loose // found.resolution_ms) * found.resolution_ms
            taken |= np.isin(found.end_ms, ends_ms)
        if not taken.all():
            if taken.any():
                left = (column[~taken] for column in found.columns())
                found = Rollup(found.resolution_ms, *left)
            self.pieces.extend(self.shape.pieces(found))

    def data(self, labels: Labels) -> SeriesData:
        return self.shape.data(labels, self.pieces, self.samples)


def read(
    ids: Sequence[int],
    resolution_ms: int,
    start_ms: int,
    end_ms: int,
    shape: Shape,
    budget: Budget,
) -> dict[int, Mixed]:
    """What is known of start_ms < time <= end_ms at this resolution, of each of these series.

    Samples stand for windows that are not rolled up (again) yet. Where the resolution was not
    kept, the next coarser one answers, or else the next finer one. Whole buckets: the first and
    the last may reach beyond the range. Raises EvaluationError when the budget does not suffice.
    """
    fresh = split(unsealed.read(ids, start_ms, end_ms, budget))
    found = {id: Mixed(shape, end_ms) for id in ids}
    if resolution_ms == SAMPLES:
        waiting = late.read(ids, start_ms, end_ms, budget)
        parts = _chunks(ids, SAMPLES, start_ms, end_ms, budget)
    else:
        waiting = _waiting(ids, start_ms, end_ms, budget)
        which = f"NOT rolled OR {_in_windows(fresh)}"
        parts = _chunks(ids, SAMPLES, start_ms, end_ms, budget, which)
        if waiting:
            # Of these series alone: what waits may lie in all windows.
            which = _in_windows(waiting)
            late_ones = _chunks(list(waiting), SAMPLES, start_ms, end_ms, budget, which)
            parts = chain(parts, late_ones)
    _take_samples(found, parts, late.under(fresh, waiting), start_ms, end_ms)
    if resolution_ms == SAMPLES:
        for one in found.values():
            one.covered_ms = min(one.raw_windows, default=one.covered_ms)
    others = instead_of(resolution_ms)
    for level_ms in others if resolution_ms == SAMPLES else (resolution_ms, *others):
        missing = [id for id, one in found.items() if one.covered_ms > start_ms]
        if not missing:
            break
        until_ms = max(found[id].covered_ms for id in missing)
        if level_ms == SAMPLES:
            _read_older_samples(found, missing, start_ms, until_ms, budget)
        else:
            _read_rollups(found, missing, level_ms, start_ms, until_ms, budget)
    return {id: one for id, one in found.items() if len(one.samples[0]) or one.pieces}


def _waiting(ids: Sequence[int], start_ms: int, end_ms: int, budget: Budget) -> dict[int, Line]:
    """Samples that wait beside their chunks; none where the budget does not suffice for them.

    To read them is to read all samples of their windows. What is rolled up is answered all the
    same then, and they are seen when they are settled.
    """
    half = Budget(budget.left // 2)  # the rest is for what is rolled up
    try:
        found = late.read(ids, start_ms, end_ms, half)
        if found:
            which = _in_windows(found)
            for rows in chunks.find(list(found), SAMPLES, start_ms, end_ms, which):
                half.take(rows.held())
    except EvaluationError:
        return {}
    return found


def _take_samples(
    found: dict[int, Mixed],
    parts: Iterable[tuple[int, int, bytes]],
    fresh: dict[int, Line],
    start_ms: int,
    end_ms: int,
) -> None:
    """The samples of these chunks, and the fresh ones over them."""
    lines: dict[int, dict[int, Line]] = {}
    for id, at_ms, data in parts:
        if at_ms not in found[id].raw_windows:
            found[id].raw_windows.add(at_ms)
            lines.setdefault(id, {})[at_ms] = decoding.samples((id, at_ms), data)
    for id in [*lines, *(fresh.keys() - lines.keys())]:
        one, by_window, line = found[id], lines.pop(id, {}), fresh.get(id, NOTHING)
        if len(line[0]):
            one.loose = _loose(line[0], one.raw_windows)
        in_order = [by_window[at_ms] for at_ms in sorted(by_window)] or [NOTHING]
        one.samples = merge(between(end_to_end(in_order), start_ms, end_ms), line)


def _loose(times: Ints, windows: set[int]) -> Ints:
    """The times that lie in none of these windows."""
    first, last = ((int(times[at]) - 1) // RAW_WINDOW_MS * RAW_WINDOW_MS for at in (0, -1))
    if first == last:  # as what has just come
        return times[:0] if first in windows else times
    starts = (times - 1) // RAW_WINDOW_MS * RAW_WINDOW_MS
    return times[~np.isin(starts, list(windows))]


def _read_rollups(
    found: dict[int, Mixed],
    ids: list[int],
    resolution_ms: int,
    start_ms: int,
    until_ms: int,
    budget: Budget,
) -> None:
    """Buckets that hold times after `start_ms`, up to where each series is covered already."""
    from_ms = start_ms // resolution_ms * resolution_ms
    to_ms = -(-until_ms // resolution_ms) * resolution_ms
    first: dict[int, int] = {}
    for id, at_ms, data in _chunks(ids, resolution_ms, from_ms, to_ms, budget):
        first.setdefault(id, at_ms)
        end_ms = -(-found[id].covered_ms // resolution_ms) * resolution_ms
        shape = found[id].shape
        buckets = decoding.buckets((id, at_ms), data, resolution_ms, from_ms, end_ms, shape)
        if buckets is not None:
            found[id].add(buckets)
    for id, at_ms in first.items():
        found[id].covered_ms = min(found[id].covered_ms, at_ms)


def _read_older_samples(
    found: dict[int, Mixed], ids: list[int], start_ms: int, until_ms: int, budget: Budget
) -> None:
    parts: dict[int, list[Line]] = {}
    for id, at_ms, data in _chunks(ids, SAMPLES, start_ms, until_ms, budget, "rolled"):
        if at_ms not in found[id].raw_windows and at_ms < found[id].covered_ms:
            parts.setdefault(id, []).append(decoding.samples((id, at_ms), data))
    for id, lines in parts.items():
        older = between(end_to_end(lines), start_ms, found[id].covered_ms)
        found[id].samples = merge(older, found[id].samples)


def _chunks(
    ids: Sequence[int],
    resolution_ms: int,
    start_ms: int,
    end_ms: int,
    budget: Budget,
    which: str = "TRUE",
) -> Iterator[tuple[int, int, bytes]]:
    """(series id, window's start, data), per series in order of time."""
    for rows in chunks.find(ids, resolution_ms, start_ms, end_ms, which):
        for id, at_ms, data, _ in budget.read(rows):
            yield id, at_ms, bytes(data)


def _in_windows(lines: Mapping[int, Line]) -> str:
    """Chunks in whose window one of these samples lies, and maybe some between; in SQL."""
    starts: set[int] = set()
    for times, _ in lines.values():
        first, last = (int(times[at] - 1) // RAW_WINDOW_MS for at in (0, -1))
        starts.update((first, last))
        if last > first + 1:
            starts.update(np.unique((times - 1) // RAW_WINDOW_MS).tolist())
    if not starts:
        return "FALSE"
    if len(starts) <= FEW_WINDOWS:
        return f"start_ms IN ({','.join(str(start * RAW_WINDOW_MS) for start in starts)})"
    return f"start_ms BETWEEN {min(starts) * RAW_WINDOW_MS} AND {max(starts) * RAW_WINDOW_MS}"
