"""Samples of the log that are not in chunks yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from django.db.models import Q, QuerySet
from numpy.typing import NDArray

from metrics.columns import Columns
from metrics.models import Batch

ROWS_PER_QUERY = 200  # of a row's 1 MB at most
BYTES_AT_ONCE = 8 << 20  # picked from together: many small batches cost as much as a large one


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
    waiting: list[bytes] = []
    held = 0
    for data in _oldest_first(start_ms, end_ms):
        waiting.append(data)
        held += len(data)
        if held >= BYTES_AT_ONCE:
            kept.append(_picked(waiting, wanted, start_ms, end_ms))
            waiting, held = [], 0
    kept.append(_picked(waiting, wanted, start_ms, end_ms))
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


def _oldest_first(start_ms: int, end_ms: int) -> Iterator[bytes]:
    # Ids first: a batch that is sealed meanwhile is still there by its id, for some minutes.
    ids = sorted(batches(start_ms, end_ms).values_list("id", flat=True))
    for begin in range(0, len(ids), ROWS_PER_QUERY):
        some = ids[begin : begin + ROWS_PER_QUERY]
        which = Q(id__in=some)
        if some[-1] - some[0] < 2 * len(some):
            which = Q(id__range=(some[0], some[-1]))  # much cheaper to ask
        wanted = set(some)
        for id, data in Batch.objects.filter(which).order_by("id").values_list("id", "data"):
            if id in wanted:
                yield bytes(data)


def _picked(
    batches: Sequence[bytes], wanted: NDArray[np.bool_] | None, start_ms: int, end_ms: int
) -> Columns:
    """What is wanted of some batches, in the order of the batches."""
    columns, batch = Columns.unpack_all(batches)
    inside = (columns.times > start_ms) & (columns.times <= end_ms)
    if wanted is not None:
        inside &= wanted[np.minimum(columns.series, len(wanted) - 1)]
    if not inside.all():
        columns, batch = columns.take(inside), batch[inside]
    if (batch[1:] < batch[:-1]).any():
        columns = columns.take(np.argsort(batch, kind="stable"))
    return columns


def _lookup(ids: Sequence[int]) -> NDArray[np.bool_]:
    """True at each wanted id; its last place, where larger ids end up, is False."""
    wanted = np.zeros(max(ids, default=0) + 2, np.bool_)
    wanted[np.array(ids, np.int64)] = True
    return wanted
