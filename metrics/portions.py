"""Deleting chunks a few at a time: who waits for the database waits for one portion at most.

SQLite has one writer, so a publisher's commit waits while rows are deleted; PostgreSQL's do not
wait, but there too many short transactions are kinder than a long one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Length

from metrics.lease import Lease
from metrics.models import Chunk

TARGET_S = 0.01  # of one transaction, from its lock to its commit
FEWEST, FIRST, MOST = 10, 100, 2_000
MOST_BYTES = 4_000_000
ROW_BYTES = 200  # of a row besides its payload, its places in the indexes included

_TABLE = Chunk._meta.db_table


@dataclass(slots=True)
class Portion:
    """How much is done in one transaction: what takes about `target_s` on this machine."""

    size: int = FIRST
    fewest: int = FEWEST
    most: int = MOST
    target_s: float = TARGET_S

    def took(self, seconds: float) -> None:
        """What the last one took."""
        if seconds > 2 * self.target_s:
            self.size = max(self.fewest, self.size // 2)
        elif seconds < self.target_s / 2:
            self.size = min(self.most, self.size * 2)


def delete_chunks(
    rows: QuerySet[Chunk],
    portion: Portion,
    lease: Lease | None,
    enough_bytes: int = MOST_BYTES,
) -> tuple[int, int]:
    """Deletes the first of these chunks; (how many, bytes freed about), (0, 0): none is left.

    No more than a portion, and than free `enough_bytes`. The lease, if given, is renewed in the
    same transaction. Raises LeaseLost.
    """
    sizes = rows.annotate(size=Length("data")).values_list("id", "size")[: portion.size]
    ids, freed = _up_to(sizes, enough_bytes)
    _delete(ids, portion, lease)
    return len(ids), freed


def delete_chunks_by_id(ids: Sequence[int], portion: Portion, lease: Lease | None) -> list[int]:
    """Deletes the first of these chunks, in order of their ids; which were there.

    As delete_chunks(); [] when none of them exists.
    """
    wanted = ",".join(map(str, ids[: portion.size]))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, LENGTH(data) FROM {_TABLE} WHERE id IN ({wanted}) ORDER BY id")
        there, _ = _up_to(cursor.fetchall(), MOST_BYTES)
    _delete(there, portion, lease)
    return there


def _up_to(sizes: Iterable[tuple[int, int]], enough_bytes: int) -> tuple[list[int], int]:
    """Ids of rows that together free about so much, and how much."""
    ids: list[int] = []
    freed = 0
    for id, size in sizes:
        ids.append(id)
        freed += size + ROW_BYTES
        if freed >= min(enough_bytes, MOST_BYTES):
            break
    return ids, freed


def _delete(ids: Sequence[int], portion: Portion, lease: Lease | None) -> None:
    if not ids:
        return
    # Spelled out before there is a lock: a model's query of 2,000 ids takes as long as deleting
    # them, on the interpreter's own lock too, for which every publisher waits.
    delete = f"DELETE FROM {_TABLE} WHERE id IN ({','.join(map(str, ids))})"
    with transaction.atomic(), connection.cursor() as cursor:
        began_s = time.monotonic()  # waiting for the lock is not its work
        if lease is not None:
            lease.renew()
        cursor.execute(delete)
    if len(ids) == portion.size:
        portion.took(time.monotonic() - began_s)
