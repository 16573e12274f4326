"""What the tests of sealing put into the log, and how they look at what is stored."""

from __future__ import annotations

import numpy as np

from metrics import codec, lease, rolling, rollups, sealing, settling
from metrics.chunks import LATE, SAMPLES, WINDOW_MS
from metrics.columns import Columns
from metrics.lease import Lease
from metrics.models import Batch, Chunk, Metric, Series
from metrics.rollups import RESOLUTIONS_MS, Rollup

HOUR_MS = 3_600_000
WINDOW = WINDOW_MS[SAMPLES]
START_MS = 1_789_999_200_000  # in 2026; a window of samples begins here
NOW_MS = START_MS + 30 * 24 * HOUR_MS  # all of it is long over

Sample = tuple[int, int, float]  # series, time, value
Model = dict[tuple[int, int], float]

assert START_MS % WINDOW == 0


def make_series(*kinds: str) -> list[int]:
    """The ids of new series, each of a metric of its own, of these kinds."""
    found = []
    for kind in kinds:
        number = Metric.objects.count()
        metric = Metric.objects.create(name=f"m{number}", kind=kind)
        found.append(Series.objects.create(metric=metric, fingerprint=f"{number:032x}").pk)
    return found


def put(*samples: Sample, received_ms: int = START_MS) -> int:
    """A batch of the log with these samples; its id."""
    series, times, values = zip(*samples, strict=True) if samples else ((), (), ())
    return Batch.objects.create(
        received_at_ms=received_ms,
        start_ms=min(times, default=received_ms),
        end_ms=max(times, default=received_ms),
        count=len(samples),
        data=Columns.of(series, times, values).pack(),
    ).pk


def line(series: int, start_ms: int, count: int, value: float = 1.0) -> list[Sample]:
    """A sample each second after `start_ms`."""
    return [(series, start_ms + 1000 * (i + 1), float(value + i % 7)) for i in range(count)]


def fill(ids: list[int], start_ms: int) -> Model:
    """Some samples of each of these series, over some windows."""
    model: Model = {}
    for i in range(20):
        time = start_ms + i * 1_000_000 + 1
        columns = Columns.of(ids, [time] * len(ids), [float(i)] * len(ids))
        Batch.objects.create(
            received_at_ms=time, start_ms=time, end_ms=time, count=len(ids), data=columns.pack()
        )
        model |= {(id, time): float(i) for id in ids}
    return model


def model_of(*samples: Sample) -> Model:
    return {(series, time): value for series, time, value in samples}


def in_chunks() -> Model:
    """What the chunks of samples hold. Each lies inside of its window, in order."""
    found: Model = {}
    for chunk in Chunk.objects.filter(resolution_ms=SAMPLES):
        times, values = codec.decode(bytes(chunk.data))
        assert len(times) == chunk.count
        assert chunk.start_ms < times[0] and times[-1] <= chunk.end_ms == chunk.start_ms + WINDOW
        assert (np.diff(times) > 0).all()
        found |= {
            (chunk.series_id, time): value
            for time, value in zip(times.tolist(), values.tolist(), strict=True)
        }
    return found


def waiting() -> Model:
    """The late samples that wait beside their chunks."""
    found: Model = {}
    for row in Chunk.objects.filter(resolution_ms=LATE).order_by("series_id", "start_ms"):
        times, values = codec.decode(bytes(row.data))
        assert len(times) == row.count
        assert times[-1] == row.end_ms
        assert (np.diff(times) > 0).all()
        found |= {
            (row.series_id, time): value
            for time, value in zip(times.tolist(), values.tolist(), strict=True)
        }
    return found


def seen() -> Model:
    """What a reader sees: the log that is not sealed, over what waits, over the chunks."""
    log: Model = {}
    for batch in Batch.objects.filter(sealed_at_ms=None).order_by("id"):
        columns = Columns.unpack(bytes(batch.data))
        log |= model_of(
            *zip(
                columns.series.tolist(),
                columns.times.tolist(),
                columns.values.tolist(),
                strict=True,
            )
        )
    return in_chunks() | waiting() | log


def rolled(series: int, resolution_ms: int) -> Rollup:
    """All that is stored of a series in this resolution."""
    chunks = Chunk.objects.filter(resolution_ms=resolution_ms, series_id=series)
    parts = [rollups.decode(bytes(one.data), resolution_ms) for one in chunks.order_by("start_ms")]
    nothing = rollups.roll(np.array([], np.int64), np.array([]), resolution_ms)
    columns = zip(*(part.columns() for part in [nothing, *parts]), strict=True)
    return Rollup(resolution_ms, *(np.concatenate(column) for column in columns))


def assert_rolled(model: Model, counters: set[int]) -> None:
    """The rollups hold exactly what the model's samples add up to."""
    assert not Chunk.objects.filter(resolution_ms=SAMPLES, rolled=False).exists()
    assert not Chunk.objects.filter(resolution_ms=LATE).exists()
    for series in {series for series, _ in model} | set(
        Chunk.objects.values_list("series_id", flat=True)
    ):
        samples = sorted((time, value) for (id, time), value in model.items() if id == series)
        times = np.array([time for time, _ in samples], np.int64)
        values = np.array([value for _, value in samples], np.float64)
        for resolution_ms in RESOLUTIONS_MS:
            wanted = rollups.roll(times, values, resolution_ms, series in counters)
            assert_same(rolled(series, resolution_ms), wanted)


def assert_rolled_is_true(counters: set[int]) -> None:
    """What a chunk says of itself: the rollups hold its samples."""
    for chunk in Chunk.objects.filter(resolution_ms=SAMPLES, rolled=True):
        samples = codec.decode(bytes(chunk.data))
        for resolution_ms in RESOLUTIONS_MS:
            found = rolled(chunk.series_id, resolution_ms).between(chunk.start_ms, chunk.end_ms)
            counter = chunk.series_id in counters
            assert_same(found, rollups.roll(*samples, resolution_ms, counter))


def assert_same(found: Rollup, wanted: Rollup) -> None:
    for have, want in zip(found.columns(), wanted.columns(), strict=True):
        np.testing.assert_array_equal(have, want, f"in buckets of {wanted.resolution_ms} ms")


def seal_all(now_ms: int = NOW_MS, samples: int = sealing.SLICE_SAMPLES) -> None:
    while sealing.seal_slice(now_ms, samples=samples).batches:
        continue


def settle_all(now_ms: int = NOW_MS) -> None:
    """Settles whatever waits, as if all of it had waited long enough."""
    while settling.settle_slice(now_ms + settling.WAIT_MS + 1):
        continue


def roll_all(now_ms: int = NOW_MS) -> None:
    while rolling.roll_slice(now_ms):
        continue


def assert_ends_as(model: Model, counters: set[int], now_ms: int = NOW_MS) -> None:
    """Once all that is left to do is done, chunks and rollups hold the model's samples."""
    seal_all(now_ms)
    settle_all(now_ms)
    roll_all(now_ms)
    assert repr(sorted(in_chunks().items())) == repr(sorted(model.items()))  # so that -0.0 counts
    assert_rolled(model, counters)
    assert not Batch.objects.filter(sealed_at_ms=None).exists()


def delete_all(now_ms: int, held: Lease | None = None) -> None:
    with lease.holding(held) as own:
        for _ in sealing.delete_sealed(own, now_ms):
            continue
