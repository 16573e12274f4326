"""Samples that wait beside their chunks (see metrics.late).

They are read after the log and before the chunks, for that is the way they go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from django.db.models import QuerySet

from metrics import chunks
from metrics.models import Chunk
from metrics.reading import decoding
from metrics.reading.budget import Budget, held
from metrics.reading.decoding import Line
from metrics.reading.lines import between, merge

ROWS_AT_ONCE = 200
EVER_MS = -(1 << 62)


def rows(start_ms: int) -> QuerySet[Chunk]:
    """The rows, of all series, that hold a sample after `start_ms`."""
    return Chunk.objects.filter(resolution_ms=chunks.LATE, end_ms__gt=start_ms)


def read(
    ids: Sequence[int], start_ms: int, end_ms: int, budget: Budget | None = None
) -> dict[int, Line]:
    """What waits of these series with start_ms < time <= end_ms, of each that has any.

    Raises EvaluationError when there is a budget and it does not suffice.
    """
    found: dict[int, Line] = {}
    for theirs in _queries(ids, start_ms):
        if budget is not None:
            budget.take(theirs)
        found |= _lines(theirs, start_ms, end_ms)
    return found


def read_if(
    ids: Sequence[int], start_ms: int, end_ms: int, most: int
) -> tuple[dict[int, Line], int]:
    """read() unless more than `most` samples wait, and how many were read."""
    samples = [(theirs, held(theirs)) for theirs in _queries(ids, start_ms)]
    total = sum(count for _, count in samples)
    found: dict[int, Line] = {}
    for theirs, count in samples if total <= most else ():
        if count:
            found |= _lines(theirs, start_ms, end_ms)
    return found, total


def _queries(ids: Sequence[int], start_ms: int) -> Iterator[QuerySet[Chunk]]:
    for begin in range(0, len(ids), chunks.ROWS_PER_QUERY):
        yield chunks.late_rows(ids[begin : begin + chunks.ROWS_PER_QUERY], start_ms)


def read_all(start_ms: int, end_ms: int) -> dict[int, Line]:
    """read() of every series."""
    return _lines(rows(start_ms), start_ms, end_ms)


def under(fresh: Mapping[int, Line], waiting: Mapping[int, Line]) -> dict[int, Line]:
    """What waits with the log's samples over it."""
    joined = {id: merge(waiting[id], line) if id in waiting else line for id, line in fresh.items()}
    return {**waiting, **joined}


def newest(ids: Sequence[int]) -> dict[int, tuple[int, float]]:
    """(time, value) of the newest sample that waits of each of these series that has any."""
    theirs = chunks.late_rows(ids, EVER_MS)
    found = {}
    for id in theirs.values_list("series_id", flat=True).distinct():
        own = chunks.late_rows([id], EVER_MS).order_by("-end_ms", "-start_ms")
        for line in _decoded(own[:1]).get(id, ()):
            found[id] = (int(line[0][-1]), float(line[1][-1]))
    return found


def _lines(theirs: QuerySet[Chunk], start_ms: int, end_ms: int) -> dict[int, Line]:
    # Of a series in the order in which the rows were begun.
    lines = {
        id: chunks.newest_wins([between(line, start_ms, end_ms) for line in some])
        for id, some in _decoded(theirs.order_by("series_id", "start_ms")).items()
    }
    return {id: line for id, line in lines.items() if len(line[0])}


def _decoded(theirs: QuerySet[Chunk]) -> dict[int, list[Line]]:
    found: dict[int, list[Line]] = {}
    columns = theirs.values_list("series_id", "start_ms", "data")
    for id, begun_ms, data in columns.iterator(ROWS_AT_ONCE):
        line = decoding.samples((id, begun_ms), bytes(data))
        if len(line[0]):
            found.setdefault(id, []).append(line)
    return found
