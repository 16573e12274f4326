"""The append transaction: receipts, running totals, events and the batch row, all or nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from django.db import (  # fmt: skip
    Error,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)

from metrics import batches, catalog, deferred, receipts, reserve, rows, stats, totals
from metrics.bell import Committed, StoredEvent
from metrics.columns import Columns
from metrics.entry import Entry
from metrics.models import Event
from metrics.refused import Refused, by_database
from metrics.samples import Accepted

logger = logging.getLogger(__name__)

Outcome = Accepted | Exception


def write_or_refuse(entries: Sequence[Entry]) -> list[Outcome]:
    """write(), with the database's failures made into refusals: an outcome for each entry.

    When one entry spoils the transaction, the others are stored without it.
    """
    began_ns = time.monotonic_ns()
    try:
        reserve.check()
    except Refused as refused:
        return [refused] * len(entries)
    try:
        outcomes = _write(entries)
    except (OperationalError, InterfaceError) as error:
        return [_given_up(error)] * len(entries)
    except Exception as error:
        if len(entries) > 1:
            return [outcome for entry in entries for outcome in write_or_refuse([entry])]
        return [_again(entries[0], error)]
    if not connection.in_atomic_block:
        stats.observe("commit_seconds", (time.monotonic_ns() - began_ns) / 1e9)
    return outcomes


def _write(entries: Sequence[Entry]) -> list[Outcome]:
    """write(); once more where PostgreSQL ended it because two transactions waited in a circle."""
    try:
        return write(entries)
    except OperationalError as error:
        if "deadlock" not in str(error):
            raise
        return write(entries)


def _again(entry: Entry, error: Exception) -> Outcome:
    """What became of an entry that failed by itself."""
    if not isinstance(error, IntegrityError):
        return _fault(error)
    # Another process may have used the same Idempotency-Key at the same moment: now it is there.
    try:
        return write([entry])[0]
    except IntegrityError:
        return Refused(409, "", "what it belongs to was deleted meanwhile: send it again")
    except Exception as later:
        return _fault(later)


def _fault(error: Exception) -> Exception:
    if isinstance(error, Error):
        return _given_up(error)
    logger.error("a batch could not be written", exc_info=error)
    return error


def _given_up(error: Error) -> Refused:
    connection.close_if_unusable_or_obsolete()
    return by_database(error)


def write(entries: Sequence[Entry]) -> list[Outcome]:
    """Writes entries in one transaction; an outcome for each, in order.

    An outcome may be a Refused (a reused Idempotency-Key, too many series) or catalog.Outdated
    (its series may be deleted by now): the others are stored all the same. Raises what the
    database raises, and then none is.
    """
    nested, defer = connection.in_atomic_block, deferred.wanted()
    with transaction.atomic():
        outcomes, fresh = _admit(entries)
        readings, reached = (_defer if defer else totals.advance)(fresh)
        columns = Columns.join([*(entry.readings for entry in fresh), readings])
        events = _store_events(fresh)
        if len(columns) or events:
            _insert(columns, events, fresh, nested)
    return [
        outcome or _accepted(entry, reached)
        for entry, outcome in zip(entries, outcomes, strict=True)
    ]


def _admit(entries: Sequence[Entry]) -> tuple[list[Outcome | None], list[Entry]]:
    """Answers repeated and refused requests; the rest is fresh, has its series and its receipts.

    What is deleted after this look, while the transaction lasts, is deleted with these samples.
    """
    book = receipts.Book(entries)
    generation = rows.generation() if any(one.generation is not None for one in entries) else None
    outcomes: list[Outcome | None] = []
    fresh: list[Entry] = []
    for entry in entries:
        outcome = (
            _taken(entry)
            or book.answer(entry)
            or _outdated(entry, generation)
            or _make_series(entry)
        )
        if outcome is None:
            book.add(entry)
            fresh.append(entry)
        outcomes.append(outcome)
    book.keep()
    return outcomes, fresh


def _taken(entry: Entry) -> Accepted | None:
    """The answer where another process has added up a deferred entry."""
    if entry.deferred is None or deferred.take(entry.deferred):
        return None
    return Accepted(entry.stored, replayed=True)


def _outdated(entry: Entry, generation: int | None) -> catalog.Outdated | None:
    if entry.generation is None or entry.generation == generation:
        return None
    return catalog.Outdated()


def _make_series(entry: Entry) -> Refused | None:
    if entry.newcomers:
        try:
            entry.fill(catalog.resolve(entry.newcomers))
        except Refused as refused:
            return refused
    return None


def _accepted(entry: Entry, reached: dict[int, float]) -> Accepted:
    told = {one.index: reached[one.series] for one in entry.increments if one.series in reached}
    return Accepted(entry.stored, totals=told)


def _defer(fresh: Sequence[Entry]) -> tuple[Columns, dict[int, float]]:
    if deferred.keep(fresh):
        transaction.on_commit(add_up_deferred, robust=True)
    return Columns.of((), (), ()), {}


def add_up_deferred() -> None:
    """Adds up the increments of transactions that are through."""
    while entries := deferred.waiting():
        outcomes = write_or_refuse(entries)
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, Refused) and outcome.status == 409 and entry.deferred:
                deferred.take(entry.deferred)
                logger.error("increments of a series that was deleted are dropped")
        if len(entries) < deferred.AT_ONCE or not any(isinstance(o, Accepted) for o in outcomes):
            return


def _insert(
    columns: Columns, events: list[StoredEvent], fresh: Sequence[Entry], nested: bool
) -> None:
    id = batches.insert(columns, events, fresh[0].now_ms)
    arrived_ns = min(entry.arrived_ns for entry in fresh)
    batches.ring(Committed(id, columns, tuple(events), arrived_ns), nested=nested)


def _store_events(fresh: Sequence[Entry]) -> list[StoredEvent]:
    rows = Event.objects.bulk_create(
        Event(
            time_ms=entry.now_ms if event.time is None else event.time,
            title=event.title,
            text=event.text,
            labels=dict(event.labels),
            source=entry.source,
        )
        for entry in fresh
        for event in entry.events
    )
    return [StoredEvent(e.pk, e.time_ms, e.title, e.text, e.labels) for e in rows]
