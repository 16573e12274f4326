"""Late samples wait beside their chunks, are seen all the while, and land in them."""

from __future__ import annotations

import pytest

from metrics import late, lease, sealing, settling
from metrics.chunks import DAMAGED, LATE, SAMPLES
from metrics.lease import TTL_MS, Lease, LeaseLost
from metrics.models import Chunk, Series
from metrics.rolling import ROLL_AFTER_MS
from metrics.settling import WAIT_MS
from tests.sealing_support import (
    HOUR_MS,
    NOW_MS,
    START_MS,
    WINDOW,
    Model,
    Sample,
    assert_rolled,
    in_chunks,
    line,
    make_series,
    model_of,
    put,
    roll_all,
    rolled,
    seal_all,
    seen,
    settle_all,
    waiting,
)

END_MS = START_MS + 3 * WINDOW


def rows() -> list[Chunk]:
    return list(Chunk.objects.filter(resolution_ms=LATE).order_by("series_id", "start_ms"))


def history(*ids: int) -> Model:
    """Three windows of these series, a sample every ten seconds, sealed and rolled up."""
    model: Model = {}
    for id in ids:
        samples = [
            (id, START_MS + 10_000 * (i + 1), float(i % 50)) for i in range(3 * WINDOW // 10_000)
        ]
        put(*samples)
        model |= model_of(*samples)
    seal_all()
    roll_all()
    return model


def late_ones(id: int, *, value: float = 500.0) -> list[Sample]:
    """Two for each of the three windows: a new one, and a correction."""
    starts = [START_MS + at * WINDOW for at in range(3)]
    return [(id, at + offset, value) for at in starts for offset in (1234, 50_000)]


def test_a_late_sample_for_a_large_chunk_waits_and_changes_no_chunk(store: str) -> None:
    (series,) = make_series("gauge")
    model = history(series)
    put(*late_ones(series))
    done = sealing.seal_slice(NOW_MS)
    assert (done.chunks, done.late, done.samples) == (0, 6, 6)
    assert in_chunks() == model
    assert waiting() == model_of(*late_ones(series))
    assert seen() == model | model_of(*late_ones(series))
    assert [(one.count, one.end_ms) for one in rows()] == [(6, END_MS - WINDOW + 50_000)]


def test_what_comes_to_a_window_that_is_not_over_goes_to_its_chunk(store: str) -> None:
    (series,) = make_series("gauge")
    put(*line(series, START_MS, 50))
    seal_all()
    over_ms = START_MS + WINDOW + ROLL_AFTER_MS
    for number, now_ms in enumerate((over_ms - 1, over_ms)):
        put((series, START_MS + 500 + number, 7.0))
        seal_all(now_ms)
        assert len(waiting()) == number


def test_what_comes_to_a_window_without_a_chunk_or_with_a_small_one_does_not_wait(
    store: str,
) -> None:
    (series,) = make_series("gauge")
    put((series, START_MS + 1, 1.0))
    seal_all()
    put((series, START_MS + 2, 1.0), (series, START_MS + WINDOW + 1, 1.0))
    seal_all()
    assert not waiting()
    assert len(in_chunks()) == 3


def test_of_a_window_of_which_samples_wait_all_that_comes_waits_too(store: str) -> None:
    """Or the older value, which waits, would hide the newer one in the chunk."""
    (series,) = make_series("gauge")
    model = history(series)
    for samples in (late_ones(series), line(series, START_MS, 700, value=90.0)):
        put(*samples)
        model |= model_of(*samples)
        seal_all()
        assert seen() == model
    assert len(waiting()) > 700
    settle_all()
    assert in_chunks() == model
    assert_rolled(model, set())


def test_rows_are_filled_one_after_another_and_the_newest_word_wins(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "ROW_SAMPLES", 4)
    one, other = make_series("gauge", "counter")
    model = history(one, other)
    for turn in range(5):
        samples = [*late_ones(one, value=turn)[:2], (other, START_MS + 100 + turn, float(turn))]
        put(*samples)
        model |= model_of(*samples)
        seal_all()
        assert seen() == model
    put(*late_ones(one, value=9.0))
    put(*late_ones(one, value=9.0))
    model |= model_of(*late_ones(one, value=9.0))
    seal_all()
    put((one, START_MS + 1234, 10.0))  # now a row that is full already holds it
    model[one, START_MS + 1234] = 10.0
    seal_all()
    assert [row.count for row in rows() if row.series_id == one] == [6, 1]
    assert [row.count for row in rows() if row.series_id == other] == [4, 1]
    assert seen() == model
    settle_all()
    assert in_chunks() == model
    assert_rolled(model, {other})


def test_samples_settle_when_they_have_waited_two_days_or_are_many(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make_series("gauge", "gauge")
    model = history(one, other)
    for id in (one, other):
        put(*late_ones(id))
        seal_all(NOW_MS + id)
    model |= seen()
    assert settling.settle_slice(NOW_MS + one + WAIT_MS - 1) == 0
    assert settling.settle_slice(NOW_MS + one + WAIT_MS) == 3
    assert {row.series_id for row in rows()} == {other}
    monkeypatch.setattr(settling, "MOST_WAITING", 6)
    assert settling.settle_slice(NOW_MS + other) == 3
    assert not rows()
    assert in_chunks() == model
    assert_rolled(model, set())


def test_after_the_clock_was_set_back_they_settle_all_the_same(store: str) -> None:
    (series,) = make_series("gauge")
    history(series)
    put(*late_ones(series))
    seal_all(NOW_MS)
    before_ms = NOW_MS - HOUR_MS
    assert settling.settle_slice(before_ms) == 3
    put(*late_ones(series, value=1.0))
    seal_all(NOW_MS)
    put(*late_ones(series, value=2.0)[1:])
    seal_all(before_ms)
    assert set(seen().values()) >= {1.0, 2.0}
    assert seen()[series, START_MS + 50_000] == 2.0


def test_who_slept_and_lost_the_lease_settles_nothing(store: str) -> None:
    (series,) = make_series("gauge")
    model = history(series)
    put(*late_ones(series))
    seal_all()
    now_ms = [NOW_MS]
    sleeper = Lease(clock_ms=lambda: now_ms[0])
    sleeper.take()
    now_ms[0] += TTL_MS
    assert Lease(clock_ms=lambda: now_ms[0]).take()
    with pytest.raises(LeaseLost):
        settling.settle_slice(NOW_MS + WAIT_MS, sleeper)
    assert in_chunks() == model
    assert len(rows()) == 1


def test_late_samples_of_a_series_that_is_gone_go_too(store: str) -> None:
    kept, gone = make_series("gauge", "gauge")
    history(kept, gone)
    put(*late_ones(kept), *late_ones(gone))
    seal_all()
    Series.objects.get(pk=gone).delete()
    Chunk.objects.filter(series_id=gone).exclude(resolution_ms=LATE).delete()
    put(*late_ones(gone, value=1.0))
    seal_all()
    settle_all()
    assert set(Chunk.objects.values_list("series_id", flat=True)) == {kept}


def test_a_damaged_row_is_set_aside_and_keeps_no_other_waiting(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    (series,) = make_series("gauge")
    model = history(series)
    for value in (1.0, 2.0):
        put(*late_ones(series, value=value))
        seal_all()
        Chunk.objects.filter(resolution_ms=LATE).update(data=b"\x01nonsense")
    settle_all()
    put(*late_ones(series)[1:])
    seal_all()
    settle_all()
    assert Chunk.objects.filter(resolution_ms=DAMAGED).count() == 2
    assert in_chunks() == model | model_of(*late_ones(series)[1:])
    assert "cannot be read and is set aside" in caplog.text


def test_a_damaged_chunk_is_set_aside_when_late_samples_come_to_it(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    (series,) = make_series("gauge")
    model = history(series)
    put(*late_ones(series))
    seal_all()
    Chunk.objects.filter(resolution_ms=SAMPLES, start_ms=START_MS).update(data=b"\x01nonsense")
    settle_all()
    left = {place: value for place, value in model.items() if place[1] > START_MS + WINDOW}
    assert in_chunks() == left | model_of(*late_ones(series))
    assert rolled(series, 10_000).count.sum() == len(model) + 2  # what the rollups had, stays
    assert "cannot be read and is set aside" in caplog.text


def test_late_samples_after_their_neighbours_have_expired_do_not_replace_what_summed_them_up(
    store: str,
) -> None:
    (series,) = make_series("gauge")
    history(series)
    put(*late_ones(series))
    seal_all()
    Chunk.objects.filter(resolution_ms=SAMPLES).delete()
    settle_all()
    assert in_chunks() == model_of(*late_ones(series))
    assert rolled(series, 60_000).count.sum() == 3 * WINDOW // 10_000


def test_a_sample_for_each_of_many_windows_is_one_row_and_few_transactions(store: str) -> None:
    ids = make_series(*["gauge"] * 5)
    windows = range(84)
    put(*((id, START_MS + at * WINDOW + 1000 * n, 1.0)
          for id in ids for at in windows for n in range(1, 9)))  # fmt: skip
    seal_all()
    roll_all()
    put(*((id, START_MS + at * WINDOW + 500, 2.0) for id in ids for at in windows))
    with lease.holding() as held:
        pieces = list(sealing.seal(held, NOW_MS, sealing.Sealed()))
        assert [row.count for row in rows()] == [84] * 5
        assert len(pieces) <= 4
        assert len(list(settling.settle(held, NOW_MS + WAIT_MS))) <= 20
    assert not rows()
