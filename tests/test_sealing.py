"""Sealing: what was in the log is in the chunks, once, whatever happens on the way."""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics import late, merging, sealing
from metrics.chunks import DAMAGED, SAMPLES
from metrics.columns import Columns
from metrics.lease import TTL_MS, Lease, LeaseLost
from metrics.models import Batch, Chunk, Series
from metrics.sealing import CLOCK_MS, KEEP_SEALED_MS, SEAL_AFTER_MS, SET_ASIDE_MS, SETTLE_MS
from tests.sealing_kills import KILLS
from tests.sealing_support import (
    NOW_MS,
    START_MS,
    WINDOW,
    Model,
    Sample,
    assert_ends_as,
    delete_all,
    in_chunks,
    line,
    make_series,
    model_of,
    put,
    roll_all,
    seal_all,
    seen,
    settle_all,
)
from tests.support.store import Program

KILLS_S = 400.0  # some 25 on two idle cores
TIMES = [START_MS + at for at in (1, 500, 9_999, 10_000, 10_001, 3_600_000, WINDOW, WINDOW + 1)]
VALUES = [0.0, -0.0, 1.25, 7.0, 3.0, 1e300, -5e-324, 2.5]


def test_a_batch_that_has_just_come_is_left_alone(store: str) -> None:
    put(*line(make_series("gauge")[0], START_MS, 5), received_ms=NOW_MS - SETTLE_MS + 1)
    assert sealing.seal_slice(NOW_MS).batches == 0
    assert sealing.seal_slice(NOW_MS + 1).batches == 1


def test_a_batch_from_before_the_clock_was_set_back_is_sealed_all_the_same(store: str) -> None:
    put(*line(make_series("gauge")[0], START_MS, 5), received_ms=NOW_MS + CLOCK_MS + 1)
    assert sealing.is_due(NOW_MS)
    assert sealing.seal_slice(NOW_MS).samples == 5


def test_nothing_is_sealed_while_another_process_has_the_lease(store: str) -> None:
    put(*line(make_series("gauge")[0], START_MS, 5))
    assert Lease().take()
    with pytest.raises(LeaseLost):
        sealing.seal_slice(NOW_MS)
    assert in_chunks() == {}


def test_who_slept_and_lost_the_lease_writes_nothing(store: str) -> None:
    """It read a chunk before another keeper changed it: writing it back would lose samples."""
    series = make_series("gauge")[0]
    put(*line(series, START_MS, 5))
    seal_all()
    put((series, START_MS + 60_000, 1.0))
    now_ms = [NOW_MS]
    sleeper = Lease(clock_ms=lambda: now_ms[0])
    assert sleeper.take()
    work = sealing.seal(sleeper, NOW_MS, sealing.Sealed())
    next(work)
    now_ms[0] += TTL_MS
    other = Lease(clock_ms=lambda: now_ms[0])
    assert other.take()
    put((series, START_MS + 70_000, 2.0))
    sealing.seal_slice(NOW_MS, other)
    before = in_chunks()
    with pytest.raises(LeaseLost):
        list(work)
    assert in_chunks() == before == seen()
    assert len(before) == 7


def test_samples_of_a_series_that_is_gone_are_skipped(store: str) -> None:
    kept, gone = make_series("gauge", "gauge")
    put(*line(kept, START_MS, 3), *line(gone, START_MS, 3))
    Series.objects.get(pk=gone).delete()
    assert sealing.seal_slice(NOW_MS).batches == 1
    assert in_chunks() == model_of(*line(kept, START_MS, 3))


def test_a_damaged_batch_is_set_aside_and_keeps_no_other_waiting(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    series = make_series("gauge")[0]
    damaged = put(*line(series, START_MS, 5))
    Batch.objects.filter(pk=damaged).update(data=b"\x01\x00rubbish")
    put(*line(series, START_MS + 60_000, 5))
    seal_all()
    delete_all(NOW_MS + 10 * KEEP_SEALED_MS)
    assert in_chunks() == model_of(*line(series, START_MS + 60_000, 5))
    assert Batch.objects.get(pk=damaged).sealed_at_ms == SET_ASIDE_MS
    assert f"batch {damaged} of the log cannot be read and is set aside" in caplog.text
    assert sealing.seal_slice(NOW_MS).batches == 0


def test_a_damaged_chunk_is_set_aside_and_keeps_no_other_waiting(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    series = make_series("gauge")[0]
    for turn in range(2):
        put(*line(series, START_MS, 5, value=turn))
        seal_all()
        Chunk.objects.filter(resolution_ms=SAMPLES).update(data=b"\x02newer")
    put(*line(series, START_MS + 60_000, 2))
    seal_all()
    assert in_chunks() == model_of(*line(series, START_MS + 60_000, 2))
    kept = Chunk.objects.filter(resolution_ms=DAMAGED)
    assert [bytes(one.data) for one in kept] == [b"\x02newer"] * 2
    assert "cannot be read and is set aside" in caplog.text


def test_samples_lie_in_the_window_that_ends_with_them(store: str) -> None:
    series = make_series("gauge")[0]
    samples = [(series, START_MS + at, 1.0) for at in (0, 1, WINDOW, WINDOW + 1)]
    put(*samples)
    seal_all()
    starts = Chunk.objects.order_by("start_ms").values_list("start_ms", "count")
    assert list(starts) == [(START_MS - WINDOW, 1), (START_MS, 2), (START_MS + WINDOW, 1)]
    assert in_chunks() == model_of(*samples)


def test_the_last_word_wins_in_a_batch_between_batches_and_over_the_chunk(store: str) -> None:
    series = make_series("gauge")[0]
    one, two, three = (START_MS + at for at in (1000, 2000, 3000))
    put((series, one, 1.0), (series, two, 1.0), (series, three, 1.0))
    seal_all()
    put((series, three, 2.0), (series, two, 2.0))
    put((series, two, 3.0), (series, two, 4.0))
    seal_all()
    assert in_chunks() == {(series, one): 1.0, (series, two): 4.0, (series, three): 2.0}


def test_a_batch_that_comes_again_changes_no_chunk(store: str) -> None:
    """So it is not rolled up again either."""
    series = make_series("gauge")[0]
    put(*line(series, START_MS, 50))
    seal_all()
    roll_all()
    put(*line(series, START_MS, 50))
    done = sealing.seal_slice(NOW_MS)
    assert (done.batches, done.chunks) == (1, 0)
    assert Chunk.objects.get(resolution_ms=SAMPLES).rolled


def test_many_late_samples_land_in_their_old_chunk_which_is_then_to_be_rolled_again(
    store: str,
) -> None:
    series = make_series("gauge")[0]
    put(*line(series, START_MS, 50))
    put(*line(series, START_MS + WINDOW, 50))
    seal_all()
    roll_all()
    put(*line(series, START_MS + 500, 20, value=9.0))
    seal_all()
    assert in_chunks()[series, START_MS + 1500] == 9.0
    assert list(Chunk.objects.filter(rolled=False, resolution_ms=SAMPLES)) == [
        Chunk.objects.get(resolution_ms=SAMPLES, start_ms=START_MS)
    ]


def test_batches_that_hold_events_only_are_let_go_too(store: str) -> None:
    put()
    put(*line(make_series("gauge")[0], START_MS, 1))
    assert sealing.seal_slice(NOW_MS).batches == 2


def test_a_slice_takes_the_oldest_and_at_least_one(store: str) -> None:
    series = make_series("gauge")[0]
    ids = [put(*line(series, START_MS + 10_000 * i, 10)) for i in range(3)]
    assert sealing.seal_slice(NOW_MS, samples=1).samples == 10
    assert [one.pk for one in Batch.objects.filter(sealed_at_ms=None).order_by("pk")] == ids[1:]
    assert sealing.seal_slice(NOW_MS, samples=20).batches == 2


def test_sealing_waits_for_enough_samples_or_enough_time(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not sealing.is_due(NOW_MS)
    series = make_series("gauge")[0]
    received_ms = NOW_MS - SEAL_AFTER_MS + 1
    put(*line(series, START_MS, 150), received_ms=received_ms)
    assert not sealing.is_due(NOW_MS)
    assert sealing.is_due(NOW_MS + 1)
    monkeypatch.setattr(sealing, "SEAL_SAMPLES", 150)
    assert sealing.is_due(NOW_MS)
    make_series("gauge")  # with more series, more samples are awaited
    assert not sealing.is_due(NOW_MS)
    put(*line(series, START_MS + 600_000, 50), received_ms=received_ms)
    assert sealing.is_due(NOW_MS)


def test_sealed_batches_go_after_a_while_but_the_newest_stays(store: str) -> None:
    series = make_series("gauge")[0]
    ids = [put(*line(series, START_MS + 10_000 * i, 10)) for i in range(4)]
    seal_all()
    delete_all(NOW_MS + KEEP_SEALED_MS)
    assert Batch.objects.count() == 4
    delete_all(NOW_MS + KEEP_SEALED_MS + 1)
    assert [one.pk for one in Batch.objects.all()] == ids[3:]
    assert len(seen()) == 40


def test_a_series_of_a_thousand_samples_a_second_fits_into_a_chunk(store: str) -> None:
    series = make_series("gauge")[0]
    put(*((series, START_MS + at, float(at % 10)) for at in range(1, 30_001)))
    seal_all()
    assert Chunk.objects.get().count == 30_000


@pytest.mark.parametrize("highest", [3, (1 << 32) - 1])  # one key for both fits, and does not
def test_samples_are_put_in_order_and_equal_ones_stay_in_theirs(highest: int) -> None:
    times = [946_684_800_000, 1_790_000_000_000, 5, 5, 1_790_000_000_000, 7]
    columns = Columns.of([highest, 1, highest, highest, 1, 2], times, [1, 2, 3, 4, 5, 6])
    assert sealing._order(columns).tolist() == [1, 4, 5, 2, 3, 0]


SAMPLE = st.tuples(st.integers(0, 2), st.sampled_from(TIMES), st.sampled_from(VALUES))
ACTION = st.one_of(
    st.lists(SAMPLE, min_size=1, max_size=12),  # a batch
    st.integers(1, 30),  # a slice of so many samples
    st.sampled_from(["settle", "roll", "delete"]),
)


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    actions=st.lists(ACTION, max_size=14),
    step=st.integers(1, 20),
    unit=st.integers(1, 4),
    share=st.integers(0, 4),
)
def test_any_stream_sealed_in_any_slices_is_the_same_set_of_samples(
    actions: list[list[Sample] | int | str], step: int, unit: int, share: int
) -> None:
    for table in (Batch, Chunk, Series):
        table.objects.all().delete()
    ids = make_series("gauge", "counter", "histogram")
    model: Model = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "STEP_SAMPLES", step)
        patch.setattr(sealing, "READ_SAMPLES", step)
        patch.setattr(merging, "UNIT_CHUNKS", unit)
        for name, value in (("UNIT_SERIES", unit), ("ROW_SAMPLES", step), ("SHARE", share)):
            patch.setattr(late, name, value)
        for action in actions:
            if isinstance(action, list):
                samples = [(ids[which], time, value) for which, time, value in action]
                put(*samples)
                model |= model_of(*samples)
            elif isinstance(action, int):
                sealing.seal_slice(NOW_MS, samples=action)
            elif action == "settle":
                settle_all()
            elif action == "roll":
                roll_all()
            else:
                delete_all(NOW_MS + KEEP_SEALED_MS + 1)
            assert repr(sorted(seen().items())) == repr(sorted(model.items()))
        assert_ends_as(model, set(ids[1:]))


@pytest.mark.slow
def test_killed_at_any_moment_it_loses_nothing_and_doubles_nothing(store: str) -> None:
    """A process is killed before and after each statement and each commit of sealing, settling,
    rolling up and deleting, again and again, while more samples come."""
    connection.close()
    program = Program(store, "from tests.sealing_kills import main; main()").started().go()
    kills, rounds = map(int, program.finish(within_s=KILLS_S).split())
    assert kills >= KILLS
    assert rounds >= 1
