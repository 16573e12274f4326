"""The log: append (durable, group commit) and read. The log is the truth.

Every accepted batch is a row of metrics.Batch, committed before its publisher is answered.
"""

from __future__ import annotations

import asyncio

from django.db import transaction

from metrics import commit, writer
from metrics.batches import load, newest_id, read, size
from metrics.entry import UNKNOWN, Entry, Increment, Key, Newcomer
from metrics.samples import Accepted
from metrics.threads import beside_loop

__all__ = [
    "UNKNOWN", "Entry", "Increment", "Key", "Newcomer", "aappend", "append", "load",
    "newest_id", "read", "size",
]  # fmt: skip


def append(entry: Entry) -> Accepted:
    """Stores an entry and returns once it is durable.

    Inside transaction.atomic() it is written with that transaction. Otherwise it joins this
    process's writer, if one runs, or makes a transaction of its own. Raises Refused.
    """
    running = writer.current()
    if running is None or transaction.get_connection().in_atomic_block:
        return _only(commit.write_or_refuse([entry]))
    running.submit(entry)
    return entry.done.result()


async def aappend(entry: Entry) -> Accepted:
    """append() for the event loop, which it does not block."""
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
