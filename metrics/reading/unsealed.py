"""Samples of the log that are not in chunks yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from django.db.models import QuerySet
from numpy.typing import NDArray

from metrics.columns import Columns
from metrics.models import Batch

ROWS_PER_QUERY = 200  # of a row's 1 MB at most
SAMPLES_AT_ONCE = 500_000  # picked from together: many small batches cost as much as a large one


def batches(start_ms: int, end_ms: int) -> QuerySet[Batch]:
    """The unsealed batches that hold samples with start_ms < time <= end_ms."""
    return Batch.objects.filter(
        sealed_at_ms=None, end_ms__gt=start_ms, start_ms__lte=end_ms, count__gt=0
    )


def read(ids: Sequence[int] | None, start_ms: int, end_ms: int) -> Columns:
    """The samples of these series (None: all) with start_ms < time <= end_ms.

    Sorted by series and time; of equal ones the newest batch's is left.
    """
    wanted = _lookup(ids) if ids is not None else None
    kept: list[Columns] = []
    waiting: list[Columns] = []
    samples = 0
    for columns in _oldest_first(start_ms, end_ms):
        waiting.append(columns)
        samples += len(columns)
        if samples >= SAMPLES_AT_ONCE:
            kept.append(_picked(Columns.join(waiting), wanted, start_ms, end_ms))
            waiting, samples = [], 0
    kept.append(_picked(Columns.join(waiting), wanted, start_ms, end_ms))
    return last_wins(Columns.join(kept))


def last_wins(columns: Columns) -> Columns:
    """Sorted by series and time; of samples with the same of both the last is left."""
    series, times = columns.series, columns.times
    ahead = (series[1:] > series[:-1]) | ((series[1:] == series[:-1]) & (times[1:] > times[:-1]))
    if ahead.all():
        return columns
    columns = columns.take(np.lexsort((times, series)))  # stable: equal ones keep their order
    same = columns.series[1:] == columns.series[:-1]
    same &= columns.times[1:] == columns.times[:-1]
    return columns.take(np.append(~same, True)) if same.any() else columns


def _oldest_first(start_ms: int, end_ms: int) -> Iterator[Columns]:
    # Ids first: a batch that is sealed meanwhile is still there by its id, for some minutes.
    ids = sorted(batches(start_ms, end_ms).values_list("id", flat=True))
    for begin in range(0, len(ids), ROWS_PER_QUERY):
        rows = Batch.objects.filter(id__in=ids[begin : begin + ROWS_PER_QUERY]).order_by("id")
        for data in rows.values_list("data", flat=True).iterator(ROWS_PER_QUERY):
            yield Columns.unpack(data)


def _picked(
    columns: Columns, wanted: NDArray[np.bool_] | None, start_ms: int, end_ms: int
) -> Columns:
    inside = (columns.times > start_ms) & (columns.times <= end_ms)
    if wanted is not None:
        inside &= wanted[np.minimum(columns.series, len(wanted) - 1)]
    return columns if inside.all() else columns.take(inside)


def _lookup(ids: Sequence[int]) -> NDArray[np.bool_]:
    """True at each wanted id; its last place, where larger ids end up, is False."""
    wanted = np.zeros(max(ids, default=0) + 2, np.bool_)
    wanted[np.array(ids, np.int64)] = True
    return wanted
