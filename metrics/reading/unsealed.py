"""Samples of the log that are not in chunks yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from django.db import connection
from django.db.models import QuerySet
from numpy.typing import NDArray

from metrics.columns import Columns
from metrics.models import Batch
from metrics.reading.budget import Budget

IDS_PER_QUERY = 1000
ROWS_AT_ONCE = 100  # of a row's 1 MB at most
BYTES_AT_ONCE = 1 << 20  # picked from together: many small batches cost as much as a large one

# In SQL: these are asked for every picture, and most of their cost was that of models' queries.
_TABLE = Batch._meta.db_table
_IDS = (
    f'SELECT id, "count" FROM "{_TABLE}" '
    'WHERE sealed_at_ms IS NULL AND end_ms > %s AND start_ms <= %s AND "count" > 0'
)
_DATA = f'SELECT id, data FROM "{_TABLE}"'


def batches(start_ms: int, end_ms: int) -> QuerySet[Batch]:
    """The unsealed batches that hold samples with start_ms < time <= end_ms."""
    return Batch.objects.filter(
        sealed_at_ms=None, end_ms__gt=start_ms, start_ms__lte=end_ms, count__gt=0
    )


def read(
    ids: Sequence[int] | None, start_ms: int, end_ms: int, budget: Budget | None = None
) -> Columns:
    """The samples of these series (None: all) with start_ms < time <= end_ms.

    Sorted by series and time; of equal ones the newest batch's is left. Raises EvaluationError
    when there is a budget and it does not suffice for the batches, whosever samples they hold.
    """
    wanted = _lookup(ids) if ids is not None else None
    kept: list[Columns] = []
    waiting: list[bytes] = []
    held = 0
    for data in _oldest_first(start_ms, end_ms, budget):
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


def _oldest_first(start_ms: int, end_ms: int, budget: Budget | None) -> Iterator[bytes]:
    # Ids first: a batch that is sealed meanwhile is still there by its id, for some minutes.
    with connection.cursor() as cursor:
        cursor.execute(_IDS, (start_ms, end_ms))
        found = sorted(cursor.fetchall())
    if budget is not None:
        budget.take(sum(count for _, count in found))
    ids = [id for id, _ in found]
    for begin in range(0, len(ids), IDS_PER_QUERY):
        some = ids[begin : begin + IDS_PER_QUERY]
        which = f"id IN ({','.join(map(str, some))})"
        if some[-1] - some[0] < 2 * len(some):
            which = f"id BETWEEN {some[0]} AND {some[-1]}"  # much cheaper to ask
        wanted = set(some)
        with connection.chunked_cursor() as cursor:
            cursor.execute(f"{_DATA} WHERE {which} ORDER BY id")
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield from (bytes(data) for id, data in rows if id in wanted)


def _picked(
    batches: Sequence[bytes], wanted: NDArray[np.bool_] | None, start_ms: int, end_ms: int
) -> Columns:
    """What is wanted of some batches, in the order of the batches."""
    columns, batch = Columns.unpack_all(batches, wanted)
    inside = (columns.times > start_ms) & (columns.times <= end_ms)
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
