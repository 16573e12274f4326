"""Deleting series and metrics: at once for everybody who looks, their chunks a little later.

A slice of series goes in one transaction: the rows of the series and their running totals, a
row each in DeletedSeries, and the generation by which caches in every process learn of it (see
metrics.catalog). From then on nobody finds them. The keeper's sweep() deletes their chunks, and
again a day later those that were written meanwhile: the log may still have held their samples.

A series that is published again begins anew, under a new id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

import numpy as np
from django.db import IntegrityError, connection, transaction
from django.db.models import Max

from metrics import catalog, rows
from metrics.chunks import KINDS
from metrics.clock import now_ms
from metrics.columns import Ints
from metrics.lease import Lease
from metrics.models import Batch, Chunk, DeletedSeries, Generation, Metric, Series, Total
from metrics.portions import Portion, delete_chunks_by_id

SLICE_SERIES = 100  # one transaction: some 10 ms
REST_S = 0.05  # at most, between two: whoever waits for the database comes in
SWEEP_AGAIN_MS = 86_400_000
SWEEP_CHUNKS = 500_000  # ids in memory at a time
LOG_MS = 3_600_000  # so much later a transaction may commit that had begun before a deletion

_swept = -1  # chunks of series deleted up to this generation are gone

_NEXT_GENERATION = f"""
INSERT INTO {Generation._meta.db_table} (id, number) VALUES (1, 1)
ON CONFLICT (id) DO UPDATE SET number = {Generation._meta.db_table}.number + 1
RETURNING number
"""
_NOTE = f"""
INSERT INTO {DeletedSeries._meta.db_table} (series_id, generation, deleted_at_ms)
SELECT id, %s, %s FROM {Series._meta.db_table} WHERE id IN """
_CHUNKS = f"""
SELECT id FROM {Chunk._meta.db_table}
WHERE resolution_ms IN ({", ".join(map(str, KINDS))}) AND series_id IN (
    SELECT series_id FROM {DeletedSeries._meta.db_table} WHERE generation = %s
)
"""
_DELETE = f"DELETE FROM {Series._meta.db_table} WHERE id IN "
# In one statement: Django's delete() would take along the series that were made since it looked.
_DELETE_METRIC = f"""
DELETE FROM {Metric._meta.db_table} WHERE name = %s AND NOT EXISTS (
    SELECT 1 FROM {Series._meta.db_table} WHERE metric_id = {Metric._meta.db_table}.id
)
"""


def find(metric: str, labels: Mapping[str, str] | None = None) -> list[int]:
    """Ids of the metric's series that have these labels, whatever others they have."""
    wanted = (labels or {}).items()
    rows = Series.objects.filter(metric__name=metric).order_by("id").values_list("id", "labels")
    return [id for id, has in rows.iterator(5000) if wanted <= has.items()]


def delete_series(ids: Iterable[int], rest: Callable[[float], None] = time.sleep) -> int:
    """Deletes series; how many there were. Not to be called inside a transaction.

    In slices, with a rest after each: `rest` is told its seconds. Samples of theirs that are on
    their way into the log at this moment go with them.
    """
    wanted = sorted(set(ids))
    deleted = 0
    for start in range(0, len(wanted), SLICE_SERIES):
        began_s = time.monotonic()
        deleted += _delete_slice(wanted[start : start + SLICE_SERIES], now_ms())
        catalog.catch_up()
        if start + SLICE_SERIES < len(wanted):
            rest(min(REST_S, time.monotonic() - began_s))
    return deleted


def delete_metric(name: str, rest: Callable[[float], None] = time.sleep) -> int:
    """Deletes a metric with all its series; how many these were. As delete_series().

    Where series of it are published meanwhile, the metric stays, with those.
    """
    deleted = delete_series(find(name), rest)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_DELETE_METRIC, (name,))
    except IntegrityError:  # a new series came in between
        return deleted
    catalog.load_metrics()
    return deleted


def _delete_slice(ids: Sequence[int], at_ms: int) -> int:
    """In SQL: models made of the rows would hold the lock for five times as long."""
    with transaction.atomic(), connection.cursor() as cursor:
        # First: this row's lock puts deletions in an order, which PostgreSQL's commits keep.
        cursor.execute(_NEXT_GENERATION)
        generation = cursor.fetchone()[0]
        places = ",".join(["%s"] * len(ids))
        cursor.execute(_NOTE + f"({places})", (generation, at_ms, *ids))
        if not cursor.rowcount:
            transaction.set_rollback(True)
            return 0
        Total.objects.filter(series_id__in=ids).delete()
        cursor.execute(_DELETE + f"({places})", ids)
        return int(cursor.rowcount)


def sweep(lease: Lease | None, now: int) -> Generator[int, None, None]:
    """Deletes the chunks of deleted series; yields how many, at each portion.

    Without a lease it may run beside the keeper.
    """
    global _swept
    if rows.generation() < _swept:  # another database, or an older copy of it
        _swept = -1
    pending = DeletedSeries.objects.filter(generation__gt=_swept).order_by("generation")
    for generations, ids in _by_chunks(pending.values_list("generation", flat=True).distinct()):
        yield from _delete(ids, lease)
        if generations:
            _swept = generations[-1]
    for generations, ids in _by_chunks(_done(now)):
        yield from _delete(ids, lease)
        for generation in generations:
            DeletedSeries.objects.filter(generation=generation).delete()
            yield 0


def _by_chunks(generations: Iterable[int]) -> Iterator[tuple[list[int], Ints]]:
    """Generations, several at a time, and the ids of the chunks of the series deleted then.

    None of either now and then, so that whoever drives it may rest while they are looked for.
    """
    some: list[int] = []
    parts: list[Ints] = []
    for generation in list(generations):
        with connection.cursor() as cursor:
            cursor.execute(_CHUNKS, (generation,))
            parts.append(np.array(cursor.fetchall(), np.int64).ravel())
        some.append(generation)
        if sum(map(len, parts)) >= SWEEP_CHUNKS:
            yield some, np.concatenate(parts)
            some, parts = [], []
        else:
            yield [], np.empty(0, np.int64)
    if some:
        yield some, np.concatenate(parts)


def _delete(ids: Ints, lease: Lease | None) -> Generator[int, None, None]:
    """Deletes chunks in the order of their ids: how SQLite gives their space back quickly."""
    ids = np.sort(ids)
    portion = Portion()
    while len(ids):
        some = ids[: portion.size].tolist()
        there = delete_chunks_by_id(some, portion, lease)
        # Of many bytes only the first go at once; of none of them there is nothing to look for.
        last = there[-1] if there else some[-1]
        ids = ids[np.searchsorted(ids, last, side="right") :]
        yield len(there)
    yield 0


def _done(now: int) -> list[int]:
    """Generations of which nothing can come any more: what the log held of them is sealed."""
    old = DeletedSeries.objects.filter(deleted_at_ms__lt=now - SWEEP_AGAIN_MS)
    waiting = Batch.objects.filter(
        sealed_at_ms__isnull=True, received_at_ms__lte=now - SWEEP_AGAIN_MS + LOG_MS
    )
    if not old.exists() or waiting.exists():
        return []
    found = old.values("generation").annotate(newest_ms=Max("deleted_at_ms"))
    return sorted(one["generation"] for one in found if one["newest_ms"] < now - SWEEP_AGAIN_MS)


def forget() -> None:
    """Nothing was swept yet (between tests)."""
    global _swept
    _swept = -1
