"""Retention: chunks go when they are older than they are kept, or when the disk budget is used up.

Whole chunks only, a few a transaction, and of samples only those that the rollups hold already.
The steps are generators: the keeper rests at each yield and may end there.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from metrics import intake, keep, late, sizes
from metrics.chunks import RESOLUTIONS_MS, SAMPLES, WINDOW_MS
from metrics.lease import Lease
from metrics.models import Chunk, Event
from metrics.portions import Portion, delete_chunks
from metrics.refused import Refused
from metrics.samples import EventSample

logger = logging.getLogger(__name__)

SPARED_MS = keep.DAY_MS  # of each resolution the budget leaves so much
TELL_MS = keep.DAY_MS  # the budget's events are at least so far apart
BUDGET_TITLE = "Disk budget: the oldest data are being deleted"
TOO_SMALL_TITLE = "Disk budget: nothing more can be deleted"
MEGABYTE = 1_000_000

_acted_on: sizes.Measured | None = None


def expire(lease: Lease, now_ms: int) -> Generator[int, None, None]:
    """Deletes what is older than it is kept; yields how many chunks went, at each portion."""
    portion = Portion()
    for rule in keep.rules(keep.own_rules(), now_ms):
        rows = expired(rule)
        while count := delete_chunks(rows, portion, lease)[0]:
            yield count


def expired(rule: keep.Rule) -> QuerySet[Chunk]:
    """The chunks that a rule lets go, oldest first where that costs nothing."""
    rows = _may_go(rule.resolution_ms)
    until_ms = rule.until_ms
    if rule.resolution_ms == SAMPLES:
        until_ms = min(until_ms, late.needed_ms())
    if rule.of_all:
        return rows.filter(end_ms__lte=until_ms).order_by("end_ms")
    # Through the unique key, by series and start: what other rules keep is not looked through.
    return rows.filter(
        series_id__in=rule.series().values("id"),
        start_ms__lte=until_ms - WINDOW_MS[rule.resolution_ms],
    )


def _may_go(resolution_ms: int) -> QuerySet[Chunk]:
    rows = Chunk.objects.filter(resolution_ms=resolution_ms)
    return rows.filter(rolled=True) if resolution_ms == SAMPLES else rows


def fit(lease: Lease, now_ms: int) -> Iterator[int]:
    """Deletes until the database fits the disk budget; yields as expire() does.

    All samples go before all buckets of 10 s, these before those of 1 min, and these before those
    of 1 h; of each the oldest first; the newest day of each stays.
    """
    over = _bytes_over()
    if over <= 0:
        return
    budget = f"{settings.DISK_BUDGET_MB:,} MB"
    _tell(
        BUDGET_TITLE,
        f"The database has outgrown its budget of {budget} (setting DISK_BUDGET_MB). The oldest "
        "samples go first, then the oldest buckets of 10 s, of 1 min and of 1 h.",
        now_ms,
    )
    portion = Portion()
    for resolution_ms in RESOLUTIONS_MS:
        rows = _may_go(resolution_ms).filter(end_ms__lte=now_ms - SPARED_MS).order_by("end_ms")
        while over > 0:
            count, freed = delete_chunks(rows, portion, lease, over)
            if not count:
                break
            over -= freed
            yield count
    if over > 0:
        _tell(
            TOO_SMALL_TITLE,
            f"The database is still {over / MEGABYTE:,.1f} MB larger than its budget of {budget} "
            "(setting DISK_BUDGET_MB), but what is left is not a day old, or in the log.",
            now_ms,
        )


def _bytes_over() -> int:
    """How much larger the database is than the budget; 0 where nobody knows, or it fits."""
    global _acted_on
    if not settings.DISK_BUDGET_MB:
        return 0
    budget = settings.DISK_BUDGET_MB * MEGABYTE
    if connection.vendor == "sqlite":
        return sizes.sqlite_used() - budget
    # PostgreSQL's files do not shrink by deleting: what the chunks take was measured, so one
    # measurement allows for one round of deleting.
    measured = sizes.latest()
    if measured is None or measured is _acted_on:
        return 0
    _acted_on = measured
    over = measured.database_bytes - budget
    # What a row takes is estimated: a hundredth more goes, or it might be just over again.
    return over + budget // 100 if over > 0 else over


def _tell(title: str, text: str, now_ms: int) -> None:
    """A line in the log and an event, once a day."""
    if Event.objects.filter(time_ms__gt=now_ms - TELL_MS, title=title).exists():
        return
    logger.warning("%s. %s", title, text)
    try:
        intake.accept_events([EventSample(title, text)], now_ms=now_ms)
    except Refused as refused:
        logger.warning("the event of it could not be stored: %s", refused)
