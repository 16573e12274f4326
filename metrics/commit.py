"""The append transaction: receipts, running totals, events and the batch row, all or nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import msgspec
from django.db import (  # fmt: skip
    Error,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)

from metrics import catalog, log, receipts, stats, totals
from metrics.bell import Committed, StoredEvent
from metrics.columns import Columns
from metrics.models import Batch, Event
from metrics.refused import Refused, by_database
from metrics.samples import Accepted

logger = logging.getLogger(__name__)

Outcome = Accepted | Exception


def write_or_refuse(entries: Sequence[log.Entry]) -> list[Outcome]:
    """write(), with the database's failures made into refusals: an outcome for each entry.

    When one entry spoils the transaction, the others are stored without it.
    """
    began_ns = time.monotonic_ns()
    try:
        outcomes = write(entries)
    except (OperationalError, InterfaceError) as error:
        return [_given_up(error)] * len(entries)
    except Exception as error:
        if len(entries) > 1:
            return [_write_alone(entry) for entry in entries]
        return [_again(entries[0], error)]
    if not connection.in_atomic_block:
        stats.observe("commit_seconds", (time.monotonic_ns() - began_ns) / 1e9)
    return outcomes


def _write_alone(entry: log.Entry) -> Outcome:
    try:
        return write([entry])[0]
    except Exception as error:
        return _again(entry, error)


def _again(entry: log.Entry, error: Exception) -> Outcome:
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


def write(entries: Sequence[log.Entry]) -> list[Outcome]:
    """Writes entries in one transaction; an outcome for each, in order.

    An outcome may be a Refused (a reused Idempotency-Key, too many series): the others are stored
    all the same. Raises what the database raises, and then none is.
    """
    nested = connection.in_atomic_block
    with transaction.atomic():
        outcomes, fresh = _admit(entries)
        readings, reached = totals.advance(fresh)
        columns = Columns.join([*(entry.readings for entry in fresh), readings])
        events = _store_events(fresh)
        if len(columns) or events:
            _insert(columns, events, fresh, nested)
    return [
        outcome or _accepted(entry, reached)
        for entry, outcome in zip(entries, outcomes, strict=True)
    ]


def _admit(entries: Sequence[log.Entry]) -> tuple[list[Outcome | None], list[log.Entry]]:
    """Answers repeated and refused requests; the rest is fresh, has its series and its receipts."""
    book = receipts.Book(entries)
    outcomes: list[Outcome | None] = []
    fresh: list[log.Entry] = []
    for entry in entries:
        outcome = book.answer(entry) or _make_series(entry)
        if outcome is None:
            book.add(entry)
            fresh.append(entry)
        outcomes.append(outcome)
    book.keep()
    return outcomes, fresh


def _make_series(entry: log.Entry) -> Refused | None:
    if entry.newcomers:
        try:
            entry.fill(catalog.resolve(entry.newcomers))
        except Refused as refused:
            return refused
    return None


def _accepted(entry: log.Entry, reached: dict[int, float]) -> Accepted:
    answer = Accepted(entry.stored)
    if entry.increments:
        answer.totals = {one.index: reached[one.series] for one in entry.increments}
    return answer


def _insert(
    columns: Columns, events: list[StoredEvent], fresh: Sequence[log.Entry], nested: bool
) -> None:
    now_ms = fresh[0].now_ms
    batch = Batch.objects.create(
        received_at_ms=now_ms,
        start_ms=int(columns.times.min()) if len(columns) else now_ms,
        end_ms=int(columns.times.max()) if len(columns) else now_ms,
        count=len(columns),
        data=columns.pack(),
        events=msgspec.json.encode(events) if events else None,
    )
    arrived_ns = min(entry.arrived_ns for entry in fresh)
    log.ring(Committed(batch.pk, columns, tuple(events), arrived_ns), nested=nested)


def _store_events(fresh: Sequence[log.Entry]) -> list[StoredEvent]:
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
