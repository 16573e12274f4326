"""Chunks: where they lie in time, and reading and writing their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from django.db.models import BigIntegerField, ExpressionWrapper, F, QuerySet

from metrics import rollups
from metrics.columns import Floats, Ints
from metrics.models import Chunk
from metrics.rollups import Rollup

SAMPLES = 0  # the resolution of samples themselves
# The resolution under which a chunk that cannot be read is kept, at its negative id as start.
DAMAGED = 1
LATE = 2  # the resolution of samples that wait beside their chunks, see metrics.late
RESOLUTIONS_MS = (SAMPLES, *rollups.RESOLUTIONS_MS)
KINDS = (*RESOLUTIONS_MS, DAMAGED, LATE)  # every resolution that a row may have
HOUR_MS = 3_600_000
# A window is one row: long enough that rows are few and compress well, short enough that merging
# a late sample into one costs about as much as a commit.
WINDOW_MS = {
    SAMPLES: 2 * HOUR_MS,
    10_000: 12 * HOUR_MS,
    60_000: 72 * HOUR_MS,
    3_600_000: 1440 * HOUR_MS,
}
ROWS_PER_QUERY = 500  # SQLite bounds a query's parameters

Place = tuple[int, int]  # (series id, window's start)


def window_of(time_ms: int, resolution_ms: int) -> int:
    """The start of the window (start, start + length] that `time_ms` lies in."""
    length_ms = WINDOW_MS[resolution_ms]
    return (time_ms - 1) // length_ms * length_ms


def find(
    ids: Sequence[int], resolution_ms: int, start_ms: int, end_ms: int
) -> Iterator[tuple[int, int, bytes]]:
    """(series id, window's start, data) of chunks that may hold start_ms < time <= end_ms.

    Per series in order of time.
    """
    first_ms = window_of(start_ms + 1, resolution_ms)
    for begin in range(0, len(ids), ROWS_PER_QUERY):
        rows = Chunk.objects.filter(
            resolution_ms=resolution_ms,
            series_id__in=ids[begin : begin + ROWS_PER_QUERY],
            start_ms__gte=first_ms,
            start_ms__lt=end_ms,
        ).order_by("series_id", "start_ms")
        for id, at_ms, data in rows.values_list("series_id", "start_ms", "data").iterator(200):
            yield id, at_ms, bytes(data)


def late_rows(ids: Sequence[int], after_ms: int) -> QuerySet[Chunk]:
    """The rows of these series, at most ROWS_PER_QUERY, that hold a late sample after that."""
    # Adding 0 keeps SQLite from looking by the end of the window, through all series.
    reaches_ms = ExpressionWrapper(F("end_ms") + 0, BigIntegerField())
    rows = Chunk.objects.annotate(newest_ms=reaches_ms)
    return rows.filter(resolution_ms=LATE, series_id__in=ids, newest_ms__gt=after_ms)


def join(parts: Sequence[Rollup]) -> Rollup:
    """Rollups of one resolution that follow each other in time, as one."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*(part.columns() for part in parts), strict=True)
    return Rollup(parts[0].resolution_ms, *(np.concatenate(column) for column in columns))


def end_to_end(lines: Sequence[tuple[Ints, Floats]]) -> tuple[Ints, Floats]:
    """Lines that follow each other in time, as one."""
    if len(lines) == 1:
        return lines[0]
    return np.concatenate([times for times, _ in lines]), np.concatenate([v for _, v in lines])


def newest_wins(lines: Sequence[tuple[Ints, Floats]]) -> tuple[Ints, Floats]:
    """Lines, the oldest first, as one: ascending, the newest one's value where several agree."""
    if len(lines) == 1:
        return lines[0]
    times = np.concatenate([np.empty(0, np.int64), *(times for times, _ in lines)])
    values = np.concatenate([np.empty(0), *(values for _, values in lines)])
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    last = np.append(times[1:] != times[:-1], True)[: len(times)]
    return times[last], values[last]


def row(series_id: int, resolution_ms: int, start_ms: int, count: int, data: bytes) -> Chunk:
    """A chunk that is not stored yet."""
    return Chunk(
        series_id=series_id,
        resolution_ms=resolution_ms,
        start_ms=start_ms,
        end_ms=start_ms + WINDOW_MS[resolution_ms],
        count=count,
        data=data,
    )


def write(rows: Iterable[Chunk]) -> None:
    """Stores chunks, each in place of what its window held; samples are then not rolled."""
    Chunk.objects.bulk_create(
        rows,
        batch_size=ROWS_PER_QUERY,
        update_conflicts=True,
        unique_fields=["resolution_ms", "series_id", "start_ms"],
        update_fields=["end_ms", "count", "data", "rolled"],
    )
