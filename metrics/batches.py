"""The rows of the log: reading them, and telling when there is a new one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from django.db import connection, transaction
from django.db.models import Count, Max, Sum
from django.db.models.functions import Length

from metrics import bell, stats
from metrics.bell import Committed, StoredEvent
from metrics.columns import Columns
from metrics.models import Batch

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 50  # of a row's 1 MB at most

# Every sample comes by here: through the ORM it would take three times as long.
_INSERT = f"""
INSERT INTO {Batch._meta.db_table} (received_at_ms, start_ms, end_ms, count, data, events)
VALUES (%s, %s, %s, %s, %s, %s)
RETURNING id
"""


def insert(columns: Columns, events: Sequence[StoredEvent], now_ms: int) -> int:
    """Adds a row to the log, and returns its id."""
    start_ms, end_ms = now_ms, now_ms
    if len(columns):
        start_ms, end_ms = int(columns.times.min()), int(columns.times.max())
    encoded = msgspec.json.encode(events) if events else None
    row = (now_ms, start_ms, end_ms, len(columns), columns.pack(), encoded)
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, row)
        return int(cursor.fetchone()[0])


def newest_id() -> int:
    """The id of the newest batch that is visible; 0 when there is none."""
    newest: int | None = Batch.objects.aggregate(newest=Max("id"))["newest"]
    return newest or 0


def read(start_ms: int, end_ms: int) -> Iterator[tuple[int, Columns]]:
    """(id, batch) of the batches that hold samples with start_ms < time <= end_ms, in any order.

    Whole batches: the caller picks what it wants, and lets a higher id win.
    """
    rows = Batch.objects.filter(end_ms__gt=start_ms, start_ms__lte=end_ms, count__gt=0)
    found = rows.order_by("end_ms").values_list("id", "data")
    for id, data in found.iterator(ROWS_AT_ONCE):
        yield id, Columns.unpack(data)


def size() -> tuple[int, int]:
    """(batches, bytes of sample data) in the log."""
    found = Batch.objects.aggregate(batches=Count("id"), size=Sum(Length("data")))
    return found["batches"], found["size"] or 0


def load(ids: Iterable[int]) -> Iterator[Committed]:
    """The batches with these ids, oldest first, a few in memory at a time.

    One that cannot be read is logged and left out: those behind it must not wait for ever.
    """
    wanted = sorted(ids)
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        rows = Batch.objects.filter(id__in=wanted[start : start + ROWS_AT_ONCE]).order_by("id")
        for id, data, events in rows.values_list("id", "data", "events"):
            try:
                stored = msgspec.json.decode(events, type=tuple[StoredEvent, ...]) if events else ()
                columns = Columns.unpack(data)
            except (ValueError, msgspec.MsgspecError) as error:
                logger.error("batch %d of the log cannot be read: %s", id, error)
                continue
            yield Committed(id, columns, stored)


def ring(committed: Committed, *, nested: bool) -> None:
    """Tells this process, once the transaction is through, what is new.

    `nested`: in somebody else's transaction, of which a savepoint may be rolled back without
    Django's knowing (and its id used again); so the bell tells what is really there.
    """

    def tell() -> None:
        for one in load([committed.id]) if nested else [committed]:
            stats.inc("batches_total")
            stats.inc("samples_total", len(one.columns))
            bell.ring(one)

    # Robust: an error here must not look like one of the transaction, which is through.
    transaction.on_commit(tell, robust=True)
