"""Rolling up: the rollups hold what the samples add up to, also after late ones."""

from __future__ import annotations

import numpy as np
import pytest

from metrics import rolling, rollups, sealing
from metrics.chunks import DAMAGED, SAMPLES, WINDOW_MS
from metrics.lease import TTL_MS, Lease, LeaseLost
from metrics.models import Chunk, Series
from metrics.rolling import ROLL_AFTER_MS, splice
from tests.sealing_support import (
    HOUR_MS,
    NOW_MS,
    START_MS,
    WINDOW,
    assert_rolled,
    line,
    make_series,
    model_of,
    put,
    roll_all,
    rolled,
    seal_all,
    settle_all,
)


def rows(resolution_ms: int) -> int:
    return Chunk.objects.filter(resolution_ms=resolution_ms).count()


def test_a_window_that_is_not_over_is_not_rolled(store: str) -> None:
    put(*line(make_series("gauge")[0], START_MS, 5))
    seal_all()
    over_ms = START_MS + WINDOW + ROLL_AFTER_MS
    assert rolling.roll_slice(over_ms - 1) == 0
    assert rolling.roll_slice(over_ms) == 1


def test_nothing_is_rolled_while_another_process_has_the_lease(store: str) -> None:
    put(*line(make_series("gauge")[0], START_MS, 5))
    seal_all()
    assert Lease().take()
    with pytest.raises(LeaseLost):
        rolling.roll_slice(NOW_MS)


def test_who_slept_and_lost_the_lease_writes_nothing(store: str) -> None:
    put(*(sample for id in make_series("gauge", "gauge") for sample in line(id, START_MS, 5)))
    seal_all()
    now_ms = [NOW_MS]
    sleeper = Lease(clock_ms=lambda: now_ms[0])
    sleeper.take()
    work = rolling.roll(sleeper, NOW_MS)
    now_ms[0] += TTL_MS
    assert Lease(clock_ms=lambda: now_ms[0]).take()
    with pytest.raises(LeaseLost):
        next(work)
    assert rows(10_000) == 0


def test_chunks_of_a_series_that_is_gone_are_deleted(store: str) -> None:
    kept, gone = make_series("gauge", "gauge")
    put(*line(kept, START_MS, 5), *line(gone, START_MS, 5))
    seal_all()
    Series.objects.get(pk=gone).delete()
    roll_all()
    assert set(Chunk.objects.values_list("series_id", flat=True)) == {kept}
    assert_rolled(model_of(*line(kept, START_MS, 5)), set())


def test_a_damaged_chunk_is_set_aside_and_keeps_no_other_waiting(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad, half = make_series("gauge", "gauge", "gauge")
    put(*(sample for id in (good, bad, half) for sample in line(id, START_MS, 5)))
    seal_all()
    Chunk.objects.filter(series_id=bad).update(data=b"\x01")
    roll_all()
    Chunk.objects.filter(series_id=half, resolution_ms=60_000).update(data=b"\x09")
    put(*line(half, START_MS + 60_000, 2))
    seal_all()
    roll_all()
    assert Chunk.objects.filter(resolution_ms=DAMAGED).count() == 2
    assert not Chunk.objects.filter(resolution_ms=SAMPLES, rolled=False).exists()
    assert len(rolled(good, 10_000)) == 1
    assert rolled(half, 60_000).count.tolist() == [5, 2]
    assert "cannot be read and is set aside" in caplog.text


def test_rollups_of_three_resolutions_hold_what_the_samples_add_up_to(store: str) -> None:
    gauge, counter = make_series("gauge", "counter")
    falls = [(counter, START_MS + 700 * i, float(i % 500)) for i in range(1, 30_000)]
    samples = [*line(gauge, START_MS - 30_000, 300), *falls]
    put(*samples)
    seal_all()
    roll_all()
    assert_rolled(model_of(*samples), {counter})


def test_windows_that_follow_each_other_share_a_chunk_of_rollups(store: str) -> None:
    series = make_series("counter")[0]
    samples = [(series, START_MS + HOUR_MS * i + 5, float(i % 5)) for i in range(24 * 8)]
    put(*samples)
    seal_all()
    assert rolling.roll_slice(NOW_MS) == 96
    assert_rolled(model_of(*samples), {series})
    days_of_10_s = {at // WINDOW_MS[10_000] for _, at, _ in samples}
    assert rows(10_000) == len(days_of_10_s)
    assert rows(3_600_000) <= 2


def test_a_gap_in_time_is_no_bucket(store: str) -> None:
    series = make_series("gauge")[0]
    samples = [(series, START_MS + 1, 1.0), (series, START_MS + 20 * WINDOW, 2.0)]
    put(*samples)
    seal_all()
    roll_all()
    assert len(rolled(series, 10_000)) == 2
    assert_rolled(model_of(*samples), set())


@pytest.mark.parametrize("late_first", [False, True])
def test_late_and_corrected_samples_are_rolled_again(store: str, late_first: bool) -> None:
    counter = make_series("counter")[0]
    first = line(counter, START_MS, 600)
    late = [(counter, START_MS + 999, 50.0), (counter, START_MS + 5000, 77.0)]
    batches = [late, first] if late_first else [first, late]
    for batch in batches:
        put(*batch)
        seal_all()
        settle_all()
        roll_all()
    assert_rolled(model_of(*batches[0]) | model_of(*batches[1]), {counter})


def test_a_spike_of_one_second_is_in_every_resolution(store: str) -> None:
    series = make_series("gauge")[0]
    spike = (series, START_MS + 3_000_000, 1e6)
    put(*line(series, START_MS, 7000), spike)
    seal_all()
    roll_all()
    for resolution_ms in rollups.RESOLUTIONS_MS:
        assert rolled(series, resolution_ms).max.max() == 1e6


def test_the_metric_says_whether_growth_is_kept(store: str) -> None:
    gauge, histogram = make_series("gauge", "histogram")
    for series in (gauge, histogram):
        put((series, START_MS + 1, 5.0), (series, START_MS + 2, 1.0))
    seal_all()
    roll_all()
    assert rolled(gauge, 10_000).resets.tolist() == [0.0]
    assert rolled(histogram, 10_000).resets.tolist() == [5.0]


def test_what_comes_after_the_samples_have_expired_does_not_replace_what_summed_them_up(
    store: str,
) -> None:
    series = make_series("counter")[0]
    put(*line(series, START_MS, 600))
    seal_all()
    roll_all()
    Chunk.objects.filter(resolution_ms__in=(SAMPLES, 10_000)).delete()  # as retention does
    put((series, START_MS + 2500, 9.0), (series, START_MS + 3_000_000, 3.0))
    seal_all()
    roll_all()
    minutes = rolled(series, 60_000)
    assert minutes.count.tolist() == [60] * 10 + [1]
    assert rolled(series, 3_600_000).count.tolist() == [601]


def test_splicing_prefers_the_new_bucket_unless_the_old_one_sums_up_more() -> None:
    def bucket(*samples: tuple[int, float]) -> rollups.Rollup:
        times, values = zip(*samples, strict=True)
        return rollups.roll(np.array(times), np.array(values), 10_000)

    old = bucket((1, 1.0), (10_001, 1.0), (10_002, 2.0), (30_001, 1.0), (40_001, 4.0))
    new = bucket((2, 5.0), (10_003, 6.0), (20_001, 7.0))
    joined = splice(old, new)
    assert joined.end_ms.tolist() == [10_000, 20_000, 30_000, 40_000, 50_000]
    assert joined.last.tolist() == [5.0, 2.0, 7.0, 1.0, 4.0]
    assert joined.count.tolist() == [1, 2, 1, 1, 1]


def test_a_slice_is_bounded_and_takes_the_oldest_first(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = make_series("gauge")[0]
    put(*((series, START_MS + WINDOW * i + 1, 1.0) for i in range(6)))
    sealing.seal_slice(NOW_MS)
    monkeypatch.setattr(rolling, "SLICE_CHUNKS", 4)
    assert rolling.roll_slice(NOW_MS) == 4
    left = Chunk.objects.filter(resolution_ms=SAMPLES, rolled=False)
    assert {one.start_ms for one in left} == {START_MS + WINDOW * i for i in (4, 5)}
    assert rolling.roll_slice(NOW_MS) == 2
    assert rolling.roll_slice(NOW_MS) == 0
