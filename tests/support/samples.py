"""What store tests publish, and how they look at what is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from django.db import connection

from metrics import catalog, intake, log, publish
from metrics.columns import Columns
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


def published(metric: str, **labels: str) -> list[float]:
    """The values of a series, once all that was published is stored."""
    assert publish.flush()
    return [*stored(metric, labels).values()]


def samples_in_log() -> int:
    return sum(len(columns) for _, columns in log.read(0, 1 << 62))


def cached(metric: str, **labels: str) -> bool:
    return catalog.cached(catalog.key_of(metric, labels)) is not None


def known_series() -> int:
    """The id of a series that exists; its one sample is `known` at NOW_MS."""
    accept(sample("known"))
    return int(Series.objects.get(metric__name="known").pk)


def entry(series: int, value: float = 1.0) -> log.Entry:
    """One reading of a series, on its way into the log."""
    return log.Entry(Columns.of([series], [NOW_MS], [value]), [], NOW_MS)


def in_threads(work: Callable[[], Accepted], count: int) -> list[Future[Accepted]]:
    """Starts `work` on so many threads at once."""

    def and_close() -> Accepted:
        try:
            return work()
        finally:
            connection.close()

    pool = ThreadPoolExecutor(count)
    futures = [pool.submit(and_close) for _ in range(count)]
    pool.shutdown(wait=False)
    return futures
