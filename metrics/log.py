"""The log: append (durable, group commit) and read. The log is the truth.

Every accepted batch is a row of metrics.Batch, committed before its publisher is answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Count, Max, QuerySet, Sum
from django.db.models.functions import Length

from metrics import bell, catalog, stats
from metrics.columns import Columns
from metrics.models import Batch, Source
from metrics.samples import Accepted, EventSample
from metrics.threads import beside_loop

ROWS_AT_ONCE = 50  # of a row's 1 MB at most

UNKNOWN = 0  # in place of the id of a series that is not known yet


@dataclass(slots=True)
class Increment:
    """Something to add to a running total; `index` is its place in the request."""

    index: int
    series: int
    amount: float
    time_ms: int | None


@dataclass(slots=True)
class Newcomer:
    """A series that is not in the catalog's cache: where a request names it first, as what kind,
    and which of its readings (by place) and increments wait for the id."""

    index: int
    kind: str
    readings: list[int] = field(default_factory=list)
    increments: list[Increment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key, whose it is, and a hash of the request it came with."""

    scope: str
    key: str
    body_hash: bytes


@dataclass(slots=True)
class Entry:
    """One publisher's request on its way into the log."""

    readings: Columns
    increments: list[Increment]
    now_ms: int
    newcomers: dict[catalog.Key, Newcomer] = field(default_factory=dict)
    events: list[EventSample] = field(default_factory=list)
    source: Source | None = None
    receipt: Key | None = None
    arrived_ns: int = field(default_factory=time.monotonic_ns)
    done: Future[Accepted] = field(default_factory=Future)

    @property
    def stored(self) -> int:
        return len(self.readings) + len(self.increments) + len(self.events)

    def know(self, ids: Mapping[catalog.Key, int]) -> None:
        """These newcomers exist already; the others are made with the entry."""
        self.fill(ids)
        for key in ids:
            del self.newcomers[key]

    def fill(self, ids: Mapping[catalog.Key, int]) -> None:
        """Puts ids where they were unknown."""
        for key, id in ids.items():
            newcomer = self.newcomers[key]
            self.readings.series[newcomer.readings] = id
            for increment in newcomer.increments:
                increment.series = id


def append(entry: Entry) -> Accepted:
    """Stores an entry and returns once it is durable.

    Inside transaction.atomic() it is written with that transaction. Otherwise it joins this
    process's writer, if one runs, or makes a transaction of its own. Raises Refused.
    """
    from metrics import commit, writer

    running = writer.current()
    if running is None or transaction.get_connection().in_atomic_block:
        return _only(commit.write_or_refuse([entry]))
    running.submit(entry)
    return entry.done.result()


async def aappend(entry: Entry) -> Accepted:
    """append() for the event loop, which it does not block."""
    from metrics import writer

    running = writer.current()
    if running is None:
        return await beside_loop(append, entry)
    running.submit(entry)
    return await asyncio.wrap_future(entry.done)


def _only(outcomes: list[Accepted | Exception]) -> Accepted:
    outcome = outcomes[0]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def newest_id() -> int:
    """The id of the newest batch that is visible; 0 when there is none."""
    newest: int | None = Batch.objects.aggregate(newest=Max("id"))["newest"]
    return newest or 0


def read(start_ms: int, end_ms: int) -> Iterator[tuple[int, Columns]]:
    """(id, batch) of the batches that hold samples with start_ms < time <= end_ms, in any order.

    Whole batches: the caller picks what it wants, and lets a higher id win.
    """
    rows = _between(start_ms, end_ms).order_by("end_ms").values_list("id", "data")
    for id, data in rows.iterator(ROWS_AT_ONCE):
        yield id, Columns.unpack(data)


def count(start_ms: int, end_ms: int) -> int:
    """How many samples read() would go through."""
    return _between(start_ms, end_ms).aggregate(samples=Sum("count"))["samples"] or 0


def _between(start_ms: int, end_ms: int) -> QuerySet[Batch]:
    return Batch.objects.filter(end_ms__gt=start_ms, start_ms__lte=end_ms, count__gt=0)


def size() -> tuple[int, int]:
    """(batches, bytes of sample data) in the log."""
    found = Batch.objects.aggregate(batches=Count("id"), size=Sum(Length("data")))
    return found["batches"], found["size"] or 0


def ring(committed: bell.Committed, *, nested: bool) -> None:
    """Tells this process, once the transaction is through, what is new.

    `nested`: in somebody else's transaction, of which a savepoint may be rolled back without
    Django's knowing; so the bell rings only if the batch is there.
    """

    def committed_now() -> None:
        if nested and not Batch.objects.filter(pk=committed.id).exists():
            return
        stats.inc("batches_total")
        stats.inc("samples_total", len(committed.columns))
        bell.ring(committed)

    # Robust: an error here must not look like one of the transaction, which is through.
    transaction.on_commit(committed_now, robust=True)
