"""Giving space back after deletions.

SQLite keeps the pages of deleted rows for what comes next; where `auto_vacuum` is INCREMENTAL
(migration 0004) the file can be made smaller a few pages at a time. That is quick as long as pages
were freed in the order of the file, which is why chunks are deleted in the order of their ids.
PostgreSQL looks after itself (autovacuum), and reuses rather than gives back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from typing import cast

from django.db import connection

from metrics import stats
from metrics.lease import Lease
from metrics.portions import Portion
from metrics.sizes import pragma
from metrics.sqlite3.base import DatabaseWrapper

# What was free all this time is not needed: sealing and expiry come by more often.
UNUSED_S = 1800.0
PAGES = Portion(size=100, fewest=10, most=2_000, target_s=0.01)
INCREMENTAL = 2  # SQLite's number for that mode

_seen: deque[tuple[float, int]] = deque()  # (steady seconds, free pages)


def can_shrink() -> bool:
    """Whether this is a SQLite database whose file can be made smaller bit by bit."""
    return connection.vendor == "sqlite" and pragma("auto_vacuum") == INCREMENTAL


def give_back(
    lease: Lease | None, now_ms: int, unused_s: float = UNUSED_S
) -> Generator[int, None, None]:
    """Frees the pages that nobody has needed lately; yields how many, at each portion."""
    if not can_shrink() or connection.in_atomic_block:
        return
    left = _unused(time.monotonic(), unused_s)
    while left > 0:
        pages = min(left, PAGES.size)
        _free(pages)
        left -= pages
        given = [(at_s, max(0, free - pages)) for at_s, free in _seen]
        _seen.clear()
        _seen.extend(given)
        yield pages


def _free(pages: int) -> None:
    """Makes the file smaller by so many pages, which lie free."""

    def free() -> None:
        # A script runs to its end; execute() would stop after the first page.
        with connection.cursor() as cursor, connection.wrap_database_errors:
            began_s = time.monotonic()
            cursor.executescript(f"PRAGMA incremental_vacuum({pages})")
            PAGES.took(time.monotonic() - began_s)

    cast(DatabaseWrapper, connection).patiently(free)


def _unused(now_s: float, unused_s: float) -> int:
    """The pages that were free at every look within `unused_s`; 0 before it has looked so long."""
    free = pragma("freelist_count")
    stats.set("database_free_bytes", free * pragma("page_size"))
    _seen.append((now_s, free))
    while len(_seen) > 1 and _seen[1][0] <= now_s - unused_s:
        _seen.popleft()
    if unused_s and _seen[0][0] > now_s - unused_s:
        return 0
    return min(free for at_s, free in _seen)


def forget() -> None:
    """Nothing was seen free yet."""
    _seen.clear()


def rewrite(full: bool) -> None:
    """Writes the database anew (SQLite, or PostgreSQL with `full`) or tidies it (PostgreSQL).

    Publishing waits while it is rewritten; a SQLite database is one that can shrink afterwards.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
            cursor.execute("VACUUM")
        else:
            cursor.execute("VACUUM (FULL, ANALYZE)" if full else "VACUUM (ANALYZE)")
