"""Reading what is partly in the log, partly in chunks and partly rolled up: no seam, no gap."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics import reader
from metrics.chunks import SAMPLES
from metrics.models import Batch, Chunk, Series
from metrics.query import EvaluationError
from metrics.reading import budget, decoding
from tests.reader_support import (
    DAY,
    HOUR,
    MINUTE,
    START_MS,
    TEN_S,
    WINDOW,
    assert_same,
    every,
    exact,
    expire,
    interrupted,
    make_series,
    put,
    roll,
    seal,
    stored,
)
from tests.support.memory_source import Sample

pytestmark = pytest.mark.django_db


def values(id: int, start_ms: int, end_ms: int) -> dict[int, float]:
    times, found = reader.read([id], start_ms, end_ms).get(id, decoding.NOTHING)
    return dict(zip(times.tolist(), found.tolist(), strict=True))


def test_a_range_with_too_many_samples_in_chunks_is_refused(settings: Any) -> None:
    id = make_series()
    seal(id, every(1000, START_MS, START_MS + WINDOW))
    settings.SAMPLES_PER_QUERY = 7199
    with pytest.raises(EvaluationError, match="holds 7,200 samples, at most 7,199 can be read"):
        stored("x_total", START_MS + HOUR, START_MS + WINDOW, 1000)


def test_many_chunks_are_counted_before_one_of_them_is_decoded(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = make_series()
    held = every(60_000, START_MS, START_MS + 5 * WINDOW)
    seal(id, held)
    monkeypatch.setattr(budget, "FEW", 2)
    settings.SAMPLES_PER_QUERY = len(held)
    times = START_MS + HOUR, START_MS + 5 * WINDOW, MINUTE
    assert_same(stored("x_total", *times), exact("x_total", held, *times))
    settings.SAMPLES_PER_QUERY -= 1
    monkeypatch.setattr(decoding, "samples", None)
    with pytest.raises(EvaluationError, match="holds 600 samples, at most 599 can be read"):
        stored("x_total", *times)


def test_what_is_counted_is_what_is_read_and_not_what_it_was_made_of(settings: Any) -> None:
    id = make_series()
    samples = every(1000, START_MS, START_MS + WINDOW)
    seal(id, samples, rolled=True)
    roll(id, samples)
    settings.SAMPLES_PER_QUERY = 120
    assert len(stored("x_total", START_MS + HOUR, START_MS + 2 * HOUR, MINUTE).labels) == 1


def test_a_damaged_chunk_is_left_out_and_complained_about_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    id = make_series()
    samples = every(60_000, START_MS, START_MS + 2 * WINDOW)
    seal(id, samples)
    Chunk.objects.filter(start_ms=START_MS).update(data=b"\x01nonsense")
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            assert values(id, START_MS, START_MS + 2 * WINDOW) == dict(samples[120:])
    assert [f"series {id} at {START_MS}" in line for line in caplog.messages] == [True]


def test_sealed_batches_are_not_read_any_more() -> None:
    id = make_series()
    put(id, [(START_MS + 1, 1.0)], sealed_at_ms=START_MS + 5)
    assert values(id, START_MS, START_MS + 10) == {}


def test_the_log_wins_over_chunks_and_a_newer_batch_over_an_older() -> None:
    id = make_series()
    seal(id, [(START_MS + at, 0.0) for at in (1, 2, 3, 4)])
    put(id, [(START_MS + 2, 1.0), (START_MS + 3, 1.0)])
    put(id, [(START_MS + 3, 2.0), (START_MS + 9, 2.0)])
    wanted = {START_MS + at: value for at, value in ((1, 0.0), (2, 1.0), (3, 2.0), (4, 0.0))}
    assert values(id, START_MS, START_MS + 8) == wanted
    columns = reader.read_all(START_MS, START_MS + 8)
    assert dict(zip(columns.times.tolist(), columns.values.tolist(), strict=True)) == wanted


def test_a_window_is_open_on_the_left_and_read_across_chunks() -> None:
    id, other = make_series(), make_series(host="b")
    samples = every(HOUR // 2, START_MS - WINDOW, START_MS + WINDOW)
    seal(id, samples)
    seal(other, samples)
    found = reader.read([id], samples[1][0], samples[-2][0])
    assert found.keys() == {id}
    assert found[id][0].tolist() == [time for time, _ in samples[2:-1]]


def test_a_sample_that_is_sealed_while_it_is_read_is_seen() -> None:
    id = make_series()
    samples = every(1000, START_MS, START_MS + MINUTE)

    def sealing() -> None:
        seal(id, samples)
        Batch.objects.update(sealed_at_ms=START_MS)

    def shown(step_ms: int) -> object:
        return stored("x_total", START_MS + MINUTE, START_MS + MINUTE, step_ms).values.tolist()

    reads: list[Callable[[], object]] = [
        lambda: values(id, START_MS, START_MS + HOUR),
        lambda: len(reader.read_all(START_MS, START_MS + HOUR)),
        lambda: shown(1000),
        lambda: shown(MINUTE),
    ]
    for read in reads:
        for number in range(4):
            Chunk.objects.all().delete()
            Batch.objects.all().delete()
            put(id, samples)
            wanted = read()
            with interrupted(
                sealing, "metrics_chunk" if number % 2 else "metrics_batch", number // 2
            ):
                assert read() == wanted, number


def test_a_window_that_is_rolled_up_while_it_is_read_is_seen_once() -> None:
    id = make_series()
    samples = every(1000, START_MS, START_MS + WINDOW)

    def rolling() -> None:
        roll(id, samples)
        Chunk.objects.filter(resolution_ms=SAMPLES).update(rolled=True)

    seal(id, samples)
    text, times = "increase(x_total[30m])", (START_MS + HOUR, START_MS + WINDOW, MINUTE)
    wanted = exact(text, samples, *times)
    moments = 0
    for number in range(20):
        Chunk.objects.exclude(resolution_ms=SAMPLES).delete()
        Chunk.objects.update(rolled=False)
        with interrupted(rolling, "metrics_chunk", number) as happened:
            assert_same(stored(text, *times), wanted)
        moments += len(happened)
    assert 2 <= moments < 20


def test_a_late_sample_is_seen_before_it_is_sealed_and_before_it_is_rolled_up() -> None:
    id = make_series()
    samples = every(1000, START_MS, START_MS + 4 * WINDOW)
    seal(id, samples, rolled=True)
    roll(id, samples)
    late = [(START_MS + WINDOW + 1_234_500, 5000.0), (START_MS + WINDOW + 1_235_000, 7.0)]
    corrected = sorted((dict(samples) | dict(late)).items())
    times = START_MS + HOUR, START_MS + 4 * WINDOW, 10 * MINUTE
    put(id, late)
    for text in ("x_total", "increase(x_total[10m])"):
        assert_same(stored(text, *times), exact(text, corrected, *times))
    Batch.objects.all().delete()
    seal(id, [one for one in corrected if START_MS + WINDOW < one[0] <= START_MS + 2 * WINDOW])
    for text in ("x_total", "increase(x_total[10m])"):
        assert_same(stored(text, *times), exact(text, corrected, *times))


def test_what_is_no_longer_kept_fine_is_answered_coarse() -> None:
    id = make_series()
    samples = every(10_000, START_MS, START_MS + 4 * DAY)
    seal(id, samples, rolled=True)
    roll(id, samples)
    end_ms = START_MS + 4 * DAY
    for resolution_ms, until_ms in ((SAMPLES, 3 * DAY), (TEN_S, 2 * DAY)):
        expire(resolution_ms, START_MS + until_ms)
    times = START_MS + DAY, end_ms, 15_000
    fine = stored("x_total", *times)
    truth = exact("x_total", samples, *times)
    kept = fine.times > START_MS + 3 * DAY
    np.testing.assert_array_equal(fine.values[:, kept], truth.values[:, kept])
    assert not np.isnan(fine.values).any()
    whole = fine.times % MINUTE == 0
    np.testing.assert_array_equal(fine.values[:, whole], truth.values[:, whole])
    times = START_MS + DAY, end_ms, MINUTE
    assert_same(stored("rate(x_total[5m])", *times), exact("rate(x_total[5m])", samples, *times))


def test_what_is_kept_only_fine_is_answered_fine() -> None:
    id = make_series()
    samples = every(10_000, START_MS, START_MS + DAY)
    seal(id, samples, rolled=True)
    roll(id, samples, [TEN_S])
    times = START_MS + HOUR, START_MS + DAY, HOUR
    wanted = exact("x_total", samples, *times)
    assert_same(stored("x_total", *times), wanted)
    expire(TEN_S, START_MS + DAY // 2)
    assert_same(stored("x_total", *times), wanted)


def test_a_late_sample_whose_neighbours_have_expired_stands_for_its_bucket() -> None:
    id = make_series()
    samples = every(1000, START_MS, START_MS + WINDOW)
    roll(id, samples)
    put(id, [(START_MS + HOUR - 2000, 123456.0)])
    found = stored("x_total", START_MS + MINUTE, START_MS + WINDOW, MINUTE)
    truth = exact("x_total", samples, START_MS + MINUTE, START_MS + WINDOW, MINUTE)
    at = found.times == START_MS + HOUR
    assert found.values[0, at] == [123456.0]
    np.testing.assert_array_equal(found.values[0, ~at], truth.values[0, ~at])


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[Sample], int, int, list[int], list[Sample]]:
    """A history; until when it is sealed and rolled up; what is not again; what came in late."""
    gap = st.sampled_from([999, 1000, 5000, 10_000, 47_000, 60_000, 300_000, 900_000, 5_000_000])
    times = [START_MS + draw(st.integers(-5000, 5000))]
    for distance in draw(st.lists(gap, min_size=5, max_size=50)):
        times.append(times[-1] + distance)
    history = [(time, float(draw(st.integers(0, 30)))) for time in times]
    windows = st.integers(-1, 1 + (times[-1] - START_MS) // WINDOW)
    sealed, rolled = (START_MS + draw(windows) * WINDOW for _ in range(2))
    again = [START_MS + window * WINDOW for window in draw(st.lists(windows, max_size=2))]
    changed = draw(st.lists(st.sampled_from(times), max_size=3))
    late = [(time + draw(st.integers(0, 1)), 99.0) for time in changed]
    return history, sealed, min(sealed, rolled), again, late


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lives(), st.sampled_from([TEN_S, MINUTE, HOUR]), st.integers(1, 3))
def test_wherever_samples_lie_a_query_sees_all_of_them_once(
    life: tuple[list[Sample], int, int, list[int], list[Sample]], resolution_ms: int, factor: int
) -> None:
    history, sealed_ms, rolled_ms, again, late = life
    Batch.objects.all().delete()
    Chunk.objects.all().delete()
    id = Series.objects.values_list("pk", flat=True).first() or make_series()
    seal(id, [one for one in history if one[0] <= sealed_ms])
    roll(id, [one for one in history if one[0] <= rolled_ms])
    raw = Chunk.objects.filter(resolution_ms=SAMPLES)
    raw.filter(end_ms__lte=rolled_ms).exclude(start_ms__in=again).update(rolled=True)
    rest = [one for one in history if one[0] > sealed_ms]
    for part in (rest[::2], rest[1::2], late):
        if part:
            put(id, part)
    all_ = sorted((dict(history) | dict(late)).items())
    step_ms = factor * resolution_ms
    end_ms = -(-all_[-1][0] // step_ms) * step_ms
    times = max(START_MS, end_ms - 50 * step_ms) // step_ms * step_ms, end_ms, step_ms
    for text in ("x_total", f"increase(x_total[{2 * resolution_ms}ms])"):
        assert_same(stored(text, *times), exact(text, all_, *times))
    found = reader.read([id], 0, end_ms)[id]
    assert [*zip(found[0].tolist(), found[1].tolist(), strict=True)] == all_
