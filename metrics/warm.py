"""What a starting process reads so that its memory holds the recent past."""

from __future__ import annotations

from dataclasses import dataclass

from metrics import catalog, log, reader
from metrics.bell import StoredEvent
from metrics.clock import now_ms
from metrics.columns import Columns
from metrics.intake import FUTURE_MS
from metrics.models import Event

SHORTEST_MS = 1000
SAMPLES = 5_000_000  # about a second of reading; a head may grow larger as it lives


@dataclass(frozen=True, slots=True)
class RecentPast:
    """Every sample after `since_ms`."""

    since_ms: int
    columns: Columns


def read_recent(since_ms: int, most_samples: int) -> RecentPast:
    """Fills the catalog and reads the samples after `since_ms`, or fewer when they are too many."""
    catalog.load()
    catalog.load_metrics()
    now = now_ms()
    most = min(SAMPLES, most_samples)
    while since_ms < now - SHORTEST_MS and log.count(since_ms, now + FUTURE_MS) > most:
        since_ms = now - (now - since_ms) // 2
    return RecentPast(since_ms, reader.read_all(since_ms, now + FUTURE_MS))


def newest_events(count: int) -> list[StoredEvent]:
    """The newest events, oldest first."""
    rows = Event.objects.order_by("-id")[:count]
    return [StoredEvent(e.pk, e.time_ms, e.title, e.text, e.labels) for e in reversed(rows)]
