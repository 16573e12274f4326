"""Rollups, joined with the samples that are not rolled up yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from django.db.models import Q, QuerySet

from metrics import chunks
from metrics.chunks import SAMPLES
from metrics.columns import Ints
from metrics.models import Chunk
from metrics.query import SeriesData
from metrics.query.windows import Labels
from metrics.reading import decoding, unsealed
from metrics.reading.budget import Budget
from metrics.reading.decoding import NOTHING, Line
from metrics.reading.samples import between, end_to_end, merge, split
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
            # Late ones, of which the chunk is gone: until sealed they stand for their buckets.
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
    budget.take(unsealed.batches(start_ms, end_ms))
    fresh = split(unsealed.read(ids, start_ms, end_ms))
    found = {id: Mixed(shape, end_ms) for id in ids}
    _read_samples(found, fresh, resolution_ms, start_ms, end_ms, budget)
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


def _read_samples(
    found: dict[int, Mixed],
    fresh: dict[int, Line],
    resolution_ms: int,
    start_ms: int,
    end_ms: int,
    budget: Budget,
) -> None:
    """The samples of windows that have no rollups, or (for resolution 0) of all."""
    which = Q()
    if resolution_ms != SAMPLES:
        which = Q(rolled=False) | _in_windows(line[0] for line in fresh.values())
    parts: dict[int, list[Line]] = {}
    for id, at_ms, data in _chunks(list(found), SAMPLES, start_ms, end_ms, budget, which):
        parts.setdefault(id, []).append(decoding.samples((id, at_ms), data))
        found[id].raw_windows.add(at_ms)
    for id, lines in parts.items():
        found[id].samples = between(end_to_end(lines), start_ms, end_ms)
        if resolution_ms == SAMPLES:
            found[id].covered_ms = min(found[id].raw_windows)
    for id, line in fresh.items():
        windows = (line[0] - 1) // RAW_WINDOW_MS * RAW_WINDOW_MS
        found[id].loose = line[0][~np.isin(windows, list(found[id].raw_windows))]
        found[id].samples = merge(found[id].samples, line)


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
    for id, at_ms, data in _chunks(ids, resolution_ms, from_ms, to_ms, budget, Q()):
        first.setdefault(id, at_ms)
        end_ms = -(-found[id].covered_ms // resolution_ms) * resolution_ms
        buckets = decoding.buckets((id, at_ms), data, resolution_ms)
        if buckets is not None:
            found[id].add(buckets.between(from_ms, end_ms))
    for id, at_ms in first.items():
        found[id].covered_ms = min(found[id].covered_ms, at_ms)


def _read_older_samples(
    found: dict[int, Mixed], ids: list[int], start_ms: int, until_ms: int, budget: Budget
) -> None:
    parts: dict[int, list[Line]] = {}
    for id, at_ms, data in _chunks(ids, SAMPLES, start_ms, until_ms, budget, Q(rolled=True)):
        if at_ms not in found[id].raw_windows and at_ms < found[id].covered_ms:
            parts.setdefault(id, []).append(decoding.samples((id, at_ms), data))
    for id, lines in parts.items():
        older = between(end_to_end(lines), start_ms, found[id].covered_ms)
        found[id].samples = merge(older, found[id].samples)


def _chunks(
    ids: Sequence[int], resolution_ms: int, start_ms: int, end_ms: int, budget: Budget, which: Q
) -> Iterator[tuple[int, int, bytes]]:
    """(series id, window's start, data), per series in order of time."""
    for begin in range(0, len(ids), chunks.ROWS_PER_QUERY):
        rows: QuerySet[Chunk] = Chunk.objects.filter(
            which,
            resolution_ms=resolution_ms,
            series_id__in=ids[begin : begin + chunks.ROWS_PER_QUERY],
            start_ms__gte=chunks.window_of(start_ms + 1, resolution_ms),
            start_ms__lt=end_ms,
        )
        budget.take(rows)
        rows = rows.order_by("series_id", "start_ms")
        for id, at_ms, data in rows.values_list("series_id", "start_ms", "data").iterator(200):
            yield id, at_ms, bytes(data)


def _in_windows(times: Iterable[Ints]) -> Q:
    """Chunks in whose window one of these times lies, and maybe some between."""
    starts = {start for some in times for start in np.unique((some - 1) // RAW_WINDOW_MS).tolist()}
    if len(starts) <= FEW_WINDOWS:
        return Q(start_ms__in=[start * RAW_WINDOW_MS for start in starts])
    return Q(start_ms__range=(min(starts) * RAW_WINDOW_MS, max(starts) * RAW_WINDOW_MS))
