"""Late samples wait beside the chunks they belong to, until merging them in is worth it.

A chunk costs about the same to merge into and to roll up again whether by one sample or by
hundreds. So a few samples for a large chunk of a window that is over go to a row of their series
instead (resolution LATE); metrics.settling merges them in when they are many or have waited long.
Readers see them all the while. Samples go from the log to here, from here to the chunks, and never
back, so where two of these hold a time, the log's value is the newest and the chunk's the oldest;
that is why what comes to a window of which samples may wait already, waits too.

A row holds samples of any windows. Its `start_ms` is no time of theirs, but when the row was
begun: of two rows of a series the later begun is the newer. `end_ms` is its newest sample's time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from django.conf import settings
from django.db.models import Max, Min
from numpy.typing import NDArray

from metrics import chunks, codec, merging, rolling
from metrics.chunks import LATE, SAMPLES, Place
from metrics.columns import Columns, Ints
from metrics.lease import Lease
from metrics.merging import Samples
from metrics.models import Chunk

SHARE = 4  # a chunk that holds no more than so many times the samples takes them at once
DAY_MS = 86_400_000
FOR_EVER_MS = 1 << 62
ROW_SAMPLES = 500  # a row takes samples until it has so many
UNIT_SERIES = 100  # one transaction
UNIT_SAMPLES = 100_000

_WINDOW_MS = chunks.WINDOW_MS[SAMPLES]


def split(step: Columns, now_ms: int) -> tuple[Columns, Columns]:
    """Samples sorted by series and time: (those for their chunks at once, those to wait)."""
    if not len(step):
        return step, step
    bounds = merging.bounds(step)
    counts = np.diff(bounds)
    series, windows = step.series[bounds[:-1]], merging.windows_of(step.times[bounds[:-1]])
    waits = _reached(series, windows)
    over = ~waits & (windows + _WINDOW_MS + rolling.ROLL_AFTER_MS <= now_ms)
    if over.any():
        waits[over] = counts[over] * SHARE < _held(series[over], windows[over])
    if not waits.any():
        return step, step.take(np.zeros(0, np.int64))
    which = np.repeat(waits, counts)
    return step.take(~which), step.take(which)


def _reached(series: Ints, windows: Ints) -> NDArray[np.bool_]:
    """Of which windows samples may wait already."""
    after_ms = int(windows.min())
    if not Chunk.objects.filter(resolution_ms=LATE, end_ms__gt=after_ms).exists():
        return np.zeros(len(series), np.bool_)
    ids = np.unique(series)
    newest = np.full(len(ids), -1)
    for some in _portions(ids):
        rows = chunks.late_rows(some, after_ms).values_list("series_id")
        for id, end_ms in rows.annotate(reaches_ms=Max("end_ms")):
            newest[np.searchsorted(ids, id)] = end_ms
    reached: NDArray[np.bool_] = newest[np.searchsorted(ids, series)] > windows
    return reached


def _held(series: Ints, windows: Ints) -> Ints:
    """How many samples the chunks of these windows hold."""
    held: dict[Place, int] = {}
    for some in _portions(np.unique(series)):
        begin, end = np.searchsorted(series, (some[0], some[-1] + 1)).tolist()
        theirs = Chunk.objects.filter(
            resolution_ms=SAMPLES,
            series_id__in=some,
            start_ms__range=(int(windows[begin:end].min()), int(windows[begin:end].max())),
        )
        for id, start_ms, count in theirs.values_list("series_id", "start_ms", "count").iterator():
            held[id, start_ms] = count
    places = zip(series.tolist(), windows.tolist(), strict=True)
    return np.array([held.get(place, 0) for place in places], np.int64)


def _portions(ids: Ints) -> Iterator[list[int]]:
    for begin in range(0, len(ids), chunks.ROWS_PER_QUERY):
        yield ids[begin : begin + chunks.ROWS_PER_QUERY].tolist()


def units(step: Columns) -> Iterator[dict[int, Samples]]:
    """Samples sorted by series and time by series, some at a time."""
    unit: dict[int, Samples] = {}
    samples = 0
    differs = step.series[1:] != step.series[:-1]
    bounds = np.flatnonzero(np.concatenate(([True], differs, [True]))).tolist()
    for begin, end in pairwise(bounds if len(step) else ()):
        for start in range(begin, end, UNIT_SAMPLES):
            stop = min(end, start + UNIT_SAMPLES)
            unit[int(step.series[start])] = step.times[start:stop], step.values[start:stop]
            samples += stop - start
            if len(unit) >= UNIT_SERIES or samples >= UNIT_SAMPLES:
                yield unit
                unit, samples = {}, 0
    if unit:
        yield unit


def write(held: Lease, unit: dict[int, Samples], now_ms: int) -> None:
    """Puts samples into their series' newest rows, or begins new ones."""
    known = Chunk.objects.filter(resolution_ms=LATE, series_id__in=list(unit))
    newest_ms = dict(known.values_list("series_id").annotate(begun_ms=Max("start_ms")))
    found = known.filter(start_ms__in=set(newest_ms.values()), count__lt=ROW_SAMPLES)
    damaged: list[int] = []
    old = {
        id: merging.decoded(row, bytes(data), damaged)
        for id, begun_ms, row, data in found.values_list("series_id", "start_ms", "id", "data")
        if begun_ms == newest_ms[id]
    }
    rows: list[Chunk] = []
    for id, line in unit.items():
        begun_ms = newest_ms.get(id, now_ms - 1)
        before = old.get(id)
        if before is None:
            rows.append(_row(id, max(now_ms, begun_ms + 1), line))
        elif (merged := merging.merge(before, line)) is not None:
            rows.append(_row(id, begun_ms, merged))
    if rows:
        merging.store(held, rows, damaged)


def _row(series_id: int, begun_ms: int, line: Samples) -> Chunk:
    times, values = line
    return Chunk(
        series_id=series_id,
        resolution_ms=LATE,
        start_ms=begun_ms,
        end_ms=int(times[-1]),
        count=len(times),
        data=codec.encode(times, values),
    )


def needed_ms() -> int:
    """Chunks of samples that end after this must stay: some for them may still wait here."""
    rows = Chunk.objects.filter(resolution_ms=LATE)
    begun_ms: int | None = rows.aggregate(at=Min("start_ms"))["at"]
    return FOR_EVER_MS if begun_ms is None else begun_ms - settings.LATE_DAYS * DAY_MS
