"""What a starting process reads so that its memory holds the recent past."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Sum

from metrics import catalog, reader
from metrics.bell import StoredEvent
from metrics.clock import now_ms
from metrics.columns import Columns
from metrics.intake import FUTURE_MS
from metrics.models import Event
from metrics.reading import samples, unsealed

SHORTEST_MS = 1000
SAMPLES = 5_000_000  # about a second of reading; a head may grow larger as it lives
CHUNKS = 100_000  # a few seconds; a window that is not over yet is read whatever it has


@dataclass(frozen=True, slots=True)
class RecentPast:
    """Every sample after `since_ms`."""

    since_ms: int
    columns: Columns


def read_recent(since_ms: int, most_samples: int) -> RecentPast:
    """Fills the catalog and reads the samples after `since_ms`, or fewer when they are too many.

    Costs a chunk for each series and window (about 40 us), and 0.2 us a sample.
    """
    catalog.load()
    catalog.load_metrics()
    now = now_ms()
    most = min(SAMPLES, most_samples)
    while since_ms < now - SHORTEST_MS and not _is_affordable(since_ms, now, most):
        since_ms = now - (now - since_ms) // 2
    return RecentPast(since_ms, reader.read_all(since_ms, now + FUTURE_MS))


def _is_affordable(since_ms: int, now: int, most_samples: int) -> bool:
    """Whether so much can be read while somebody waits; of chunks the samples are estimated."""
    expected: float = (
        unsealed.batches(since_ms, now + FUTURE_MS).aggregate(held=Sum("count"))["held"] or 0
    )
    windows = samples.chunks_between(since_ms, now + FUTURE_MS).values("start_ms", "end_ms")
    over = 0
    for window in windows.annotate(held=Sum("count"), chunks=Count("id")).order_by():
        start_ms, end_ms = window["start_ms"], min(window["end_ms"], now)
        if end_ms > start_ms:
            expected += window["held"] * (end_ms - max(start_ms, since_ms)) / (end_ms - start_ms)
        if window["end_ms"] <= now:
            over += window["chunks"]
    return expected <= most_samples and over <= CHUNKS


def newest_events(count: int) -> list[StoredEvent]:
    """The newest events, oldest first."""
    rows = Event.objects.order_by("-id")[:count]
    return [StoredEvent(e.pk, e.time_ms, e.title, e.text, e.labels) for e in reversed(rows)]
