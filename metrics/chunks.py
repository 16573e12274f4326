"""Chunks: where they lie in time, and reading and writing their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from django.db import connection, transaction
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
ROWS_AT_ONCE = 200

Place = tuple[int, int]  # (series id, window's start)
Row = tuple[int, int, bytes, int]  # series id, window's start, data, how many samples or buckets

_TABLE = Chunk._meta.db_table
# In SQL: of bulk_create's time the database's own is a fourth.
_WRITE = f"""
INSERT INTO "{_TABLE}" (resolution_ms, series_id, start_ms, end_ms, "count", rolled, data)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (resolution_ms, series_id, start_ms) DO UPDATE SET
    end_ms = excluded.end_ms, "count" = excluded."count", rolled = excluded.rolled,
    data = excluded.data
"""


def window_of(time_ms: int, resolution_ms: int) -> int:
    """The start of the window (start, start + length] that `time_ms` lies in."""
    length_ms = WINDOW_MS[resolution_ms]
    return (time_ms - 1) // length_ms * length_ms


@dataclass(frozen=True, slots=True)
class Rows:
    """Stored chunks by a condition in SQL, in order of series and start.

    Of whole numbers alone, which both databases read alike. With hundreds of series a QuerySet
    takes longer to put such a question together than they take to answer it.
    """

    where: str

    def held(self) -> int:
        """How many samples or buckets they hold."""
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT SUM("count") FROM "{_TABLE}" WHERE {self.where}')
            return cursor.fetchone()[0] or 0

    def first(self, most: int) -> list[Row]:
        """The first so many."""
        with connection.cursor() as cursor:
            cursor.execute(f"{self._select()} LIMIT {most}")
            return list(cursor.fetchall())

    def each(self) -> Iterator[Row]:
        """All of them, some in memory at a time."""
        with connection.chunked_cursor() as cursor:
            cursor.execute(self._select())
            while some := cursor.fetchmany(ROWS_AT_ONCE):
                yield from some

    def _select(self) -> str:
        return (
            f'SELECT series_id, start_ms, data, "count" FROM "{_TABLE}" WHERE {self.where} '
            "ORDER BY series_id, start_ms"
        )


def find(
    ids: Sequence[int], resolution_ms: int, start_ms: int, end_ms: int, which: str = "TRUE"
) -> Iterator[Rows]:
    """The chunks that may hold start_ms < time <= end_ms, of some of the series at a time.

    `which` of them, in SQL.
    """
    first_ms = window_of(start_ms + 1, resolution_ms)
    for some in _portions(ids):
        yield Rows(
            f"resolution_ms = {resolution_ms} AND series_id IN ({some}) "
            f"AND start_ms >= {first_ms} AND start_ms < {end_ms} AND ({which})"
        )


def find_late(ids: Sequence[int], after_ms: int) -> Iterator[Rows]:
    """The rows that hold a late sample after that, of some of the series at a time."""
    for some in _portions(ids):
        # Adding 0 keeps SQLite from looking by the end of the window, through all series.
        late = f"resolution_ms = {LATE} AND series_id IN ({some})"
        yield Rows(f'{late} AND "end_ms" + 0 > {after_ms}')


def _portions(ids: Sequence[int]) -> Iterator[str]:
    for begin in range(0, len(ids), ROWS_PER_QUERY):
        yield ",".join(map(str, ids[begin : begin + ROWS_PER_QUERY]))


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
    found = [_columns(row) for row in rows]
    if found:
        with transaction.atomic(savepoint=False), connection.cursor() as cursor:
            cursor.executemany(_WRITE, found)


def _columns(row: Chunk) -> tuple[int | bytes, ...]:
    place = row.resolution_ms, row.series_id, row.start_ms
    return *place, row.end_ms, row.count, row.rolled, bytes(row.data)
