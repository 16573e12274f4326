"""Samples that wait beside their chunks (see metrics.late).

They are read after the log and before the chunks, for that is the way they go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from metrics import chunks
from metrics.chunks import Row, Rows
from metrics.reading import decoding
from metrics.reading.budget import Budget
from metrics.reading.decoding import Line
from metrics.reading.lines import between, merge

EVER_MS = -(1 << 62)


def rows(start_ms: int) -> Rows:
    """The rows, of all series, that hold a sample after `start_ms`."""
    return Rows(f"resolution_ms = {chunks.LATE} AND end_ms > {start_ms}")


def read(
    ids: Sequence[int], start_ms: int, end_ms: int, budget: Budget | None = None
) -> dict[int, Line]:
    """What waits of these series with start_ms < time <= end_ms, of each that has any.

    Raises EvaluationError when there is a budget and it does not suffice.
    """
    found: dict[int, Line] = {}
    for theirs in chunks.find_late(ids, start_ms):
        found |= _lines(theirs.each() if budget is None else budget.read(theirs), start_ms, end_ms)
    return found


def read_all(start_ms: int, end_ms: int) -> dict[int, Line]:
    """read() of every series."""
    return _lines(rows(start_ms).each(), start_ms, end_ms)


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
        for begun_ms, data in own.values_list("start_ms", "data")[:1]:
            times, values = decoding.samples((id, begun_ms), bytes(data))
            if len(times):
                found[id] = (int(times[-1]), float(values[-1]))
    return found


def _lines(rows: Iterable[Row], start_ms: int, end_ms: int) -> dict[int, Line]:
    """Of rows of a series in the order in which they were begun."""
    parts: dict[int, list[Line]] = {}
    for id, begun_ms, data, _ in rows:
        line = between(decoding.samples((id, begun_ms), bytes(data)), start_ms, end_ms)
        if len(line[0]):
            parts.setdefault(id, []).append(line)
    return {id: chunks.newest_wins(lines) for id, lines in parts.items()}
