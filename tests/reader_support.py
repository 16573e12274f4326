"""What the tests of reading put into chunks and the log, and how they look at what is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from django.db import connection

from metrics import catalog, chunks, codec, reader, rollups
from metrics.chunks import SAMPLES, WINDOW_MS
from metrics.columns import Columns
from metrics.models import Batch, Chunk, Metric, Series
from metrics.query import Matrix, SeriesData, evaluate, parse
from metrics.rollups import RESOLUTIONS_MS
from metrics.rows import fingerprint
from tests.support.memory_source import Memory, Sample

TEN_S, MINUTE, HOUR = RESOLUTIONS_MS
DAY = 24 * HOUR
WINDOW = WINDOW_MS[SAMPLES]
START_MS = 1_789_999_200_000  # in 2026; a window of samples begins here
LOOKBACK_MS = 300_000

assert START_MS % WINDOW == 0


def make_series(name: str = "x_total", kind: str = "counter", **labels: str) -> int:
    metric, _ = Metric.objects.get_or_create(name=name, defaults={"kind": kind})
    made = Series.objects.create(
        metric=metric, labels=labels, fingerprint=fingerprint(name, labels)
    )
    catalog.load()
    return int(made.pk)


def put(id: int, samples: Sequence[Sample], *, sealed_at_ms: int | None = None) -> None:
    """A batch of the log."""
    times, values = zip(*samples, strict=True)
    Batch.objects.create(
        received_at_ms=max(times),
        start_ms=min(times),
        end_ms=max(times),
        count=len(samples),
        sealed_at_ms=sealed_at_ms,
        data=Columns.of([id] * len(times), times, values).pack(),
    )


def every(step_ms: int, start_ms: int, end_ms: int) -> list[Sample]:
    """A counter that begins again now and then, read every `step_ms` of (start, end]."""
    times = range(start_ms + step_ms, end_ms + 1, step_ms)
    return [(time, float(at * 7 % 1009)) for at, time in enumerate(times)]


def arrays(samples: Iterable[Sample]) -> tuple[codec.Ints, codec.Floats]:
    held = sorted(dict(samples).items())
    return np.array([t for t, _ in held], np.int64), np.array([v for _, v in held], np.float64)


def seal(id: int, samples: Sequence[Sample], *, rolled: bool = False) -> None:
    """Chunks of samples, a row for each window, in place of what they held."""
    windows: dict[int, list[Sample]] = {}
    for one in samples:
        windows.setdefault(chunks.window_of(one[0], SAMPLES), []).append(one)
    rows = []
    for start_ms, inside in windows.items():
        times, values = arrays(inside)
        row = chunks.row(id, SAMPLES, start_ms, len(times), codec.encode(times, values))
        row.rolled = rolled
        rows.append(row)
    chunks.write(rows)


def roll(id: int, samples: Sequence[Sample], resolutions: Sequence[int] = RESOLUTIONS_MS) -> None:
    """Chunks of rollups of these samples, in place of what they held."""
    rows = []
    for resolution_ms in resolutions:
        found = rollups.roll(*arrays(samples), resolution_ms)
        window_ms = WINDOW_MS[resolution_ms]
        for start_ms in sorted({(end - 1) // window_ms for end in found.end_ms.tolist()}):
            part = found.between(start_ms * window_ms, (start_ms + 1) * window_ms)
            data = rollups.encode(part)
            rows.append(chunks.row(id, resolution_ms, start_ms * window_ms, len(part), data))
    chunks.write(rows)


def expire(resolution_ms: int, until_ms: int) -> None:
    """What retention does."""
    Chunk.objects.filter(resolution_ms=resolution_ms, end_ms__lte=until_ms).delete()


def stored(text: str, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
    source = reader.Stored(step_ms, LOOKBACK_MS)
    band = "[" not in text
    return evaluate(parse(text), source, start_ms, end_ms, step_ms, LOOKBACK_MS, band=band)


def exact(text: str, samples: Sequence[Sample], start_ms: int, end_ms: int, step_ms: int) -> Matrix:
    """The same of samples in memory, of the one series without labels."""
    source = Memory([SeriesData({"__name__": "x_total"}, *arrays(samples))])
    band = "[" not in text
    return evaluate(parse(text), source, start_ms, end_ms, step_ms, LOOKBACK_MS, band=band)


def assert_same(found: Matrix, wanted: Matrix) -> None:
    """Equal, but for the last digits."""
    assert found.labels == wanted.labels
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-9, atol=1e-9)
    for mine, true in ((found.low, wanted.low), (found.high, wanted.high)):
        assert (mine is None) == (true is None)
        if mine is not None and true is not None:
            np.testing.assert_array_equal(mine, true)


@contextmanager
def interrupted(happens: Callable[[], None], table: str, number: int = 0) -> Iterator[list[str]]:
    """Lets something happen just before the n-th query of a table; yields that query, then."""
    seen: list[str] = []
    left = [number]

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        if f'FROM "{table}"' in sql and not seen:
            left[0] -= 1
            if left[0] < 0:
                seen.append(sql)
                happens()
        return execute(sql, *rest)

    with connection.execute_wrapper(watch):
        yield seen
