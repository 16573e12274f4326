"""How much what is stored takes: by metric and resolution, and the database as a whole.

Measuring goes through the rows of all chunks (not their payloads), so the keeper does it, in
pieces and seldom; pages show what it found last.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field

from django.db import connection, transaction

from metrics import stats
from metrics.chunks import LATE, RESOLUTIONS_MS, SAMPLES, WINDOW_MS, window_of
from metrics.keep import DAY_MS, SHORT_NAMES
from metrics.lease import Lease
from metrics.models import Chunk, Series, Storage
from metrics.portions import ROW_BYTES

EVERY_S = 600.0
SHARE = 0.01  # of one processor: a measurement that took 10 s is made again after 1,000 s
PIECE_CHUNKS = 2_000
WRITE_ROWS = 200
BUCKET_BYTES = 10.0  # until a resolution has some to measure
MS_PER_SECOND = 1000

_latest: Measured | None = None
_due_s = float("-inf")

# Of a payload its length alone is read.
_PIECE = f"""
SELECT c.id, s.metric_id, c.resolution_ms, c.start_ms, c.count, LENGTH(c.data)
FROM {Chunk._meta.db_table} c LEFT JOIN {Series._meta.db_table} s ON s.id = c.series_id
WHERE c.id > %s ORDER BY c.id LIMIT {PIECE_CHUNKS}
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """The whole database, without what is free in its files and what it keeps for old readers."""

    at_ms: int
    database_bytes: int


@dataclass(slots=True)
class Share:
    """Chunks of one metric and resolution. `count` is that of their samples or buckets."""

    chunks: int = 0
    bytes: int = 0
    count: int = 0
    start_ms: int | None = None

    def add(self, start_ms: int, count: int, size: int) -> None:
        self.chunks += 1
        self.bytes += size + ROW_BYTES
        self.count += count
        if self.start_ms is None or start_ms < self.start_ms:
            self.start_ms = start_ms


@dataclass(slots=True)
class Tally:
    """One metric: its chunks by resolution, and those of samples of the last day once more."""

    recent: Share = field(default_factory=Share)
    shares: dict[int, Share] = field(
        default_factory=lambda: {resolution_ms: Share() for resolution_ms in RESOLUTIONS_MS}
    )


def measure(lease: Lease, now_ms: int) -> Generator[None, None, None]:
    """Measures when that is due: a step of the keeper's."""
    global _due_s
    if time.monotonic() < _due_s:
        return
    worked_s = 0.0
    began_s = time.monotonic()
    for _ in measuring(now_ms):
        worked_s += time.monotonic() - began_s
        yield
        began_s = time.monotonic()
    _due_s = time.monotonic() + max(EVERY_S, worked_s / SHARE)


def measuring(now_ms: int) -> Generator[None, None, None]:
    """Measures, in pieces, and stores what it found."""
    global _latest
    until_ms = window_of(now_ms, SAMPLES) - WINDOW_MS[SAMPLES]  # these windows are surely sealed
    tallies: dict[int, Tally] = {}
    live = 0
    last_id = 0
    while rows := _piece(last_id):
        for _, metric, resolution_ms, start_ms, count, size in rows:
            live += size + ROW_BYTES
            tally = tallies.get(metric) or tallies.setdefault(metric, Tally())
            share = tally.shares.get(SAMPLES if resolution_ms == LATE else resolution_ms)
            if share is None:  # set aside because it cannot be read
                continue
            share.add(start_ms, count, size)
            if resolution_ms == SAMPLES and until_ms - DAY_MS <= start_ms < until_ms:
                tally.recent.add(start_ms, count, size)
        last_id = rows[-1][0]
        yield
    tallies.pop(None, None)  # type: ignore[call-overload] # of series that were deleted
    _store(tallies, until_ms, now_ms)
    used = _database_bytes(live)
    stats.set("database_bytes", used)
    _latest = Measured(now_ms, used)


def latest() -> Measured | None:
    """What this process has measured last."""
    return _latest


def forget() -> None:
    """The next measure() measures."""
    global _latest, _due_s
    _latest, _due_s = None, float("-inf")


def _piece(after: int) -> list[tuple[int, int, int, int, int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(_PIECE, [after])
        found: list[tuple[int, int, int, int, int, int]] = cursor.fetchall()
    return found


def _store(tallies: dict[int, Tally], until_ms: int, now_ms: int) -> None:
    found = [_row(metric, tally, until_ms, now_ms) for metric, tally in tallies.items()]
    fields = [one.name for one in Storage._meta.fields if not one.primary_key]
    for start in range(0, len(found), WRITE_ROWS):
        Storage.objects.bulk_create(
            found[start : start + WRITE_ROWS],
            update_conflicts=True,
            unique_fields=["metric"],
            update_fields=fields,
        )
    with transaction.atomic():
        Storage.objects.exclude(measured_at_ms=now_ms).delete()


def _row(metric: int, tally: Tally, until_ms: int, now_ms: int) -> Storage:
    raw = tally.shares[SAMPLES]
    row = Storage(
        metric_id=metric,
        samples=raw.count,
        chunks=sum(share.chunks for share in tally.shares.values()),
        oldest_raw_ms=raw.start_ms,
        measured_at_ms=now_ms,
    )
    rates = _daily_bytes(tally, until_ms)
    for resolution_ms, name in SHORT_NAMES.items():
        setattr(row, f"bytes_{name}", tally.shares[resolution_ms].bytes)
        setattr(row, f"daily_{name}", rates.get(resolution_ms))
    if tally.recent.start_ms is not None:
        row.samples_per_second = (
            MS_PER_SECOND * tally.recent.count / (until_ms - tally.recent.start_ms)
        )
    return row


def _daily_bytes(tally: Tally, until_ms: int) -> dict[int, float]:
    """By resolution, what a day adds at the rate of the last day; empty when that is unknown."""
    recent = tally.recent
    if recent.start_ms is None:
        return {}
    days = (until_ms - recent.start_ms) / DAY_MS
    found = {SAMPLES: recent.bytes / days}
    series = recent.chunks * WINDOW_MS[SAMPLES] / (until_ms - recent.start_ms)
    for resolution_ms in RESOLUTIONS_MS[1:]:
        # A bucket for each series and interval, but no more buckets than samples.
        buckets = min(recent.count / days, series * DAY_MS / resolution_ms)
        share = tally.shares[resolution_ms]
        found[resolution_ms] = buckets * (
            share.bytes / share.count if share.count else BUCKET_BYTES
        )
    return found


def _database_bytes(live: int) -> int:
    """`live`: the chunks'. PostgreSQL's files do not shrink, so there those are counted anew."""
    if connection.vendor == "sqlite":
        return sqlite_used()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_database_size(current_database()) - pg_total_relation_size(%s)",
            [Chunk._meta.db_table],
        )
        others: int = cursor.fetchone()[0]
    return others + live


def sqlite_used() -> int:
    """Bytes of the database file without its free pages."""
    return (pragma("page_count") - pragma("freelist_count")) * pragma("page_size")


def pragma(name: str) -> int:
    """A number that SQLite knows about its file."""
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        found: int = cursor.fetchone()[0]
    return found


def database_file_bytes() -> tuple[int, int]:
    """(size of the database, of which free for what comes; 0 where nobody knows)."""
    if connection.vendor == "sqlite":
        size = pragma("page_size")
        return pragma("page_count") * size, pragma("freelist_count") * size
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return cursor.fetchone()[0], 0
