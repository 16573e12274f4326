"""Increments inside somebody's transaction.

A running total is a row, and adding to it locks the row until the transaction ends. In the middle
of a long one everybody who adds to the same counter would wait, and two might wait for each other.
So there the increments are only noted, and added up right after the commit; and should the process
die just then, by housekeeping.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from django.db import connection

from metrics.clock import now_ms
from metrics.columns import Columns
from metrics.entry import Entry, Increment
from metrics.models import Deferred

AT_ONCE = 1000


def wanted() -> bool:
    """Whether increments are to be noted here: in a transaction, where rows are locked one by one.

    SQLite has one writer at a time, whatever it writes.
    """
    return connection.in_atomic_block and connection.features.has_select_for_update


def keep(entries: Sequence[Entry]) -> bool:
    """Notes the increments of these; True when there were any."""
    rows = [
        Deferred(created_at_ms=entry.now_ms, increments=msgspec.msgpack.encode(entry.increments))
        for entry in entries
        if entry.increments
    ]
    Deferred.objects.bulk_create(rows)
    return bool(rows)


def waiting() -> list[Entry]:
    """What was noted and not yet added up, oldest first."""
    return [
        Entry(
            Columns.of((), (), ()),
            msgspec.msgpack.decode(row.increments, type=list[Increment]),
            now_ms(),
            deferred=row.pk,
        )
        for row in Deferred.objects.order_by("id")[:AT_ONCE]
    ]


def take(id: int) -> bool:
    """Removes a note, with the transaction that adds it up; False: somebody else did."""
    return Deferred.objects.filter(pk=id).delete()[0] > 0
