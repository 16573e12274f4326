"""What store tests publish, and how they look at what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metrics import catalog, intake, log
from metrics.models import Series
from metrics.samples import Accepted, Kind, Sample

NOW_MS = 1_790_000_000_000  # a moment in 2026


def sample(
    metric: str = "orders", value: float = 1.0, kind: Kind = "gauge", **labels: str
) -> Sample:
    return Sample(metric, value, labels, None, kind)


def accept(*samples: Sample, now_ms: int = NOW_MS, **options: Any) -> Accepted:
    return intake.accept(samples, now_ms=now_ms, **options)


def stored(metric: str, labels: Mapping[str, str] | None = None) -> dict[int, float]:
    """Time to value of a series, as the log has it."""
    ids = [one.pk for one in Series.objects.filter(metric__name=metric, labels=labels or {})]
    found: dict[int, float] = {}
    for _, columns in sorted(log.read(0, 1 << 62), key=lambda row: row[0]):
        mine = columns.take(columns.series == ids[0]) if ids else columns.take(columns.times < 0)
        found.update(zip(mine.times.tolist(), mine.values.tolist(), strict=True))
    return dict(sorted(found.items()))


def samples_in_log() -> int:
    return sum(len(columns) for _, columns in log.read(0, 1 << 62))


def cached(metric: str, **labels: str) -> bool:
    return catalog.cached(catalog.key_of(metric, labels)) is not None
