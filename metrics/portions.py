"""Deleting chunks a few at a time: who waits for the database waits for one portion at most.

SQLite has one writer, so a publisher's commit waits while rows are deleted; PostgreSQL's do not
wait, but there too many short transactions are kinder than a long one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Length

from metrics.lease import Lease
from metrics.models import Chunk

TARGET_S = 0.01  # of one transaction, from its lock to its commit
FEWEST, FIRST, MOST = 10, 100, 2_000
MOST_BYTES = 4_000_000
ROW_BYTES = 200  # of a row besides its payload, its places in the indexes included


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
    ids: list[int] = []
    freed = 0
    for id, size in sizes:
        ids.append(id)
        freed += size + ROW_BYTES
        if freed >= min(enough_bytes, MOST_BYTES):
            break
    if not ids:
        return 0, 0
    with transaction.atomic():
        began_s = time.monotonic()  # waiting for the lock is not its work
        if lease is not None:
            lease.renew()
        Chunk.objects.filter(id__in=ids).delete()
    if len(ids) == portion.size:
        portion.took(time.monotonic() - began_s)
    return len(ids), freed
