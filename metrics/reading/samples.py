"""The samples themselves, wherever they lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from django.db.models import QuerySet

from metrics import chunks
from metrics.columns import Columns
from metrics.models import Chunk
from metrics.reading import decoding, unsealed
from metrics.reading.budget import Budget
from metrics.reading.decoding import Line

CHUNKS_AT_ONCE = 1000


def read(
    ids: Sequence[int], start_ms: int, end_ms: int, budget: Budget | None = None
) -> dict[int, Line]:
    """Times and values with start_ms < time <= end_ms of each of these series that has any.

    Raises EvaluationError when there is a budget and it does not suffice.
    """
    if budget is not None:
        budget.take(unsealed.batches(start_ms, end_ms))
        for begin in range(0, len(ids), chunks.ROWS_PER_QUERY):
            some = ids[begin : begin + chunks.ROWS_PER_QUERY]
            budget.take(chunks_between(start_ms, end_ms).filter(series_id__in=some))
    fresh = split(unsealed.read(ids, start_ms, end_ms))
    parts: dict[int, list[Line]] = {}
    for id, at_ms, data in chunks.find(ids, chunks.SAMPLES, start_ms, end_ms):
        parts.setdefault(id, []).append(decoding.samples((id, at_ms), data))
    sealed = {id: between(end_to_end(lines), start_ms, end_ms) for id, lines in parts.items()}
    sealed = {id: line for id, line in sealed.items() if len(line[0])}
    return sealed | {
        id: merge(sealed[id], line) if id in sealed else line for id, line in fresh.items()
    }


def read_all(start_ms: int, end_ms: int) -> Columns:
    """Every sample of every series with start_ms < time <= end_ms, sorted by series and time."""
    fresh = unsealed.read(None, start_ms, end_ms)
    parts = []
    rows = chunks_between(start_ms, end_ms).values_list("series_id", "start_ms", "data")
    for id, at_ms, data in rows.iterator(CHUNKS_AT_ONCE):
        times, values = between(decoding.samples((id, at_ms), bytes(data)), start_ms, end_ms)
        if len(times):
            # Copies: a few minutes of a window must not keep all of it in memory.
            parts.append((id, at_ms, times.copy(), values.copy()))
    parts.sort(key=lambda part: part[:2])
    sealed = Columns(
        np.repeat(
            np.array([id for id, _, _, _ in parts], np.int64),
            np.array([len(times) for _, _, times, _ in parts], np.int64),
        ),
        np.concatenate([np.empty(0, np.int64), *(times for _, _, times, _ in parts)]),
        np.concatenate([np.empty(0), *(values for _, _, _, values in parts)]),
    )
    return unsealed.last_wins(Columns.join([sealed, fresh]))


def chunks_between(start_ms: int, end_ms: int) -> QuerySet[Chunk]:
    """The chunks of samples, of all series, that may hold start_ms < time <= end_ms."""
    after_ms = chunks.window_of(end_ms, chunks.SAMPLES) + chunks.WINDOW_MS[chunks.SAMPLES]
    return Chunk.objects.filter(
        resolution_ms=chunks.SAMPLES, end_ms__gt=start_ms, end_ms__lte=after_ms
    )


def split(columns: Columns) -> dict[int, Line]:
    """Samples sorted by series and time, by series; views, not copies."""
    if not len(columns):
        return {}
    starts = np.flatnonzero(np.append(True, columns.series[1:] != columns.series[:-1]))
    ends = np.append(starts[1:], len(columns))
    return {
        id: (columns.times[start:end], columns.values[start:end])
        for id, start, end in zip(
            columns.series[starts].tolist(), starts.tolist(), ends.tolist(), strict=True
        )
    }


def merge(old: Line, new: Line) -> Line:
    """Both, in order of time; where they have the same time the new one's value."""
    if not len(old[0]) or not len(new[0]):
        return old if len(old[0]) else new
    times = np.concatenate((old[0], new[0]))
    values = np.concatenate((old[1], new[1]))
    if new[0][0] > old[0][-1]:
        return times, values
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    last = np.append(times[1:] != times[:-1], True)
    return times[last], values[last]


def between(line: Line, start_ms: int, end_ms: int) -> Line:
    """The samples with start_ms < time <= end_ms; views, not copies."""
    times, values = line
    begin, end = np.searchsorted(times, (start_ms, end_ms), side="right").tolist()
    return times[begin:end], values[begin:end]


def end_to_end(lines: Sequence[Line]) -> Line:
    """Lines that follow each other in time, as one."""
    if len(lines) == 1:
        return lines[0]
    return np.concatenate([times for times, _ in lines]), np.concatenate([v for _, v in lines])
