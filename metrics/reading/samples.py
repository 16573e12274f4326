"""The samples themselves, wherever they lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from django.db.models import QuerySet

from metrics import chunks
from metrics.columns import Columns, Floats, Ints
from metrics.models import Chunk
from metrics.reading import decoding, late, unsealed
from metrics.reading.budget import Budget
from metrics.reading.decoding import Line
from metrics.reading.lines import between, end_to_end, merge, split

CHUNKS_AT_ONCE = 1000


def read(
    ids: Sequence[int], start_ms: int, end_ms: int, budget: Budget | None = None
) -> dict[int, Line]:
    """Times and values with start_ms < time <= end_ms of each of these series that has any.

    Raises EvaluationError when there is a budget and it does not suffice.
    """
    fresh = split(unsealed.read(ids, start_ms, end_ms, budget))
    wanted = list(chunks.find(ids, chunks.SAMPLES, start_ms, end_ms))
    if budget is not None:
        for rows in wanted:  # all of them, before anything is decoded
            budget.take(rows.held())
    fresh = late.under(fresh, late.read(ids, start_ms, end_ms, budget))
    parts: dict[int, list[Line]] = {}
    for id, at_ms, data, _ in chain.from_iterable(rows.each() for rows in wanted):
        parts.setdefault(id, []).append(decoding.samples((id, at_ms), bytes(data)))
    sealed = {id: between(end_to_end(lines), start_ms, end_ms) for id, lines in parts.items()}
    sealed = {id: line for id, line in sealed.items() if len(line[0])}
    return sealed | {
        id: merge(sealed[id], line) if id in sealed else line for id, line in fresh.items()
    }


def read_all(start_ms: int, end_ms: int) -> Columns:
    """Every sample of every series with start_ms < time <= end_ms, sorted by series and time."""
    fresh = unsealed.read(None, start_ms, end_ms)
    waiting = _columns((id, *line) for id, line in sorted(late.read_all(start_ms, end_ms).items()))
    parts = []
    rows = chunks_between(start_ms, end_ms).values_list("series_id", "start_ms", "data")
    for id, at_ms, data in rows.iterator(CHUNKS_AT_ONCE):
        times, values = between(decoding.samples((id, at_ms), bytes(data)), start_ms, end_ms)
        if len(times):
            # Copies: a few minutes of a window must not keep all of it in memory.
            parts.append((id, at_ms, times.copy(), values.copy()))
    parts.sort(key=lambda part: part[:2])
    sealed = _columns((id, times, values) for id, _, times, values in parts)
    return unsealed.last_wins(Columns.join([sealed, waiting, fresh]))


def _columns(lines: Iterable[tuple[int, Ints, Floats]]) -> Columns:
    parts = list(lines)
    return Columns(
        np.repeat(
            np.array([id for id, _, _ in parts], np.int64),
            np.array([len(times) for _, times, _ in parts], np.int64),
        ),
        np.concatenate([np.empty(0, np.int64), *(times for _, times, _ in parts)]),
        np.concatenate([np.empty(0), *(values for _, _, values in parts)]),
    )


def chunks_between(start_ms: int, end_ms: int) -> QuerySet[Chunk]:
    """The chunks of samples, of all series, that may hold start_ms < time <= end_ms."""
    after_ms = chunks.window_of(end_ms, chunks.SAMPLES) + chunks.WINDOW_MS[chunks.SAMPLES]
    return Chunk.objects.filter(
        resolution_ms=chunks.SAMPLES, end_ms__gt=start_ms, end_ms__lte=after_ms
    )
