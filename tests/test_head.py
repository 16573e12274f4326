"""The recent samples in memory, against a model that anybody can check: a dictionary."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.columns import Columns
from metrics.head import FIRST_CAPACITY, Head

SERIES = (1, 2, 7)
ROW = st.tuples(st.sampled_from(SERIES), st.integers(1, 60), st.integers(0, 9).map(float))
STEPS = st.lists(
    st.lists(ROW, max_size=40)
    | st.integers(0, 80)  # a time at which old samples expire
    | st.tuples(st.sampled_from(SERIES), st.integers(0, 60), st.integers(1, 80)),  # a reading run
    max_size=30,
)


def head(since_ms: int = 0, span_ms: int = 1_000_000, most_samples: int = 1_000_000) -> Head:
    return Head(since_ms, span_ms=span_ms, most_samples=most_samples)


def batch(rows: list[tuple[int, int, float]]) -> Columns:
    series, times, values = zip(*rows, strict=True) if rows else ((), (), ())
    return Columns.of(series, times, values)


def held(one: Head, id: int, start_ms: int = 0, end_ms: int = 10_000) -> dict[int, float]:
    times, values = one.read(id, start_ms, end_ms)
    assert times.tolist() == sorted(set(times.tolist()))
    return dict(zip(times.tolist(), values.tolist(), strict=True))


@given(STEPS)
def test_it_holds_what_a_dictionary_would(
    steps: list[list[tuple[int, int, float]] | int | tuple[int, int, int]],
) -> None:
    one = head(span_ms=30)
    model: dict[int, dict[int, float]] = {id: {} for id in SERIES}
    for step in steps:
        if isinstance(step, int):
            one.expire(step)
        elif isinstance(step, tuple):  # a long run of readings in order
            id, first_ms, count = step
            rows = [(id, first_ms + n, float(n)) for n in range(count)]
            one.apply(batch(rows))
            model[id].update({at_ms: value for _, at_ms, value in rows})
        else:
            one.apply(batch(step))
            for id, at_ms, value in step:
                model[id][at_ms] = value
        for id in SERIES:
            model[id] = {at: value for at, value in model[id].items() if at > one.since_ms}
    for id in SERIES:
        assert held(one, id, one.since_ms) == model[id]
        newest = max(model[id], default=None)
        if newest is not None:
            assert one.last(id) == (newest, model[id][newest])
            start, end = max(newest - 5, one.since_ms), newest - 1
            inside = {at: value for at, value in model[id].items() if start < at <= end}
            assert held(one, id, start, end) == inside
    assert one.samples() == sum(len(held(one, id)) for id in SERIES)


def test_a_sample_that_comes_too_late_is_left_to_the_log() -> None:
    one = head(since_ms=100)
    one.apply(batch([(1, 100, 1.0), (1, 50, 1.0)]))
    assert one.samples() == 0
    assert one.last(1) is None
    assert not held(one, 1)


def test_of_equal_times_the_last_wins_in_one_batch_or_two() -> None:
    one = head()
    one.apply(batch([(1, 5, 1.0), (1, 5, 2.0), (2, 5, 1.0)]))
    one.apply(batch([(2, 5, 2.0)]))
    assert held(one, 1) == held(one, 2) == {5: 2.0}


def test_series_that_went_silent_are_forgotten() -> None:
    one = head(span_ms=1000)
    one.apply(batch([(1, 5, 1.0), (2, 5000, 1.0)]))
    one.expire(5500)
    assert list(one.series()) == [2]
    assert one.since_ms == 4500
    assert one.samples() == 1


def test_too_many_samples_shorten_what_is_kept_and_say_from_when() -> None:
    one = head(span_ms=10_000_000, most_samples=1000)
    times = range(1000, 5_001_000, 5000)
    one.apply(batch([(id, at_ms, 1.0) for id in (1, 2) for at_ms in times]))
    assert one.samples() == 2000
    one.expire(5_000_000)
    assert 0 < one.samples() <= 1000
    assert one.since_ms > 1000
    kept = [at_ms for at_ms in times if at_ms > one.since_ms]
    assert list(held(one, 1, one.since_ms, 5_001_000)) == kept


def test_what_expired_goes_before_what_is_recent() -> None:
    one = head(span_ms=1000, most_samples=FIRST_CAPACITY)
    one.apply(batch([(1, at_ms, 1.0) for at_ms in range(1, FIRST_CAPACITY)]))
    one.apply(batch([(1, 5000, 2.0), (1, 5500, 3.0)]))
    one.expire(5500)
    assert held(one, 1, 4500) == {5000: 2.0, 5500: 3.0}
    assert one.since_ms == 4500


def test_memory_stays_bounded_over_a_long_life() -> None:
    one = head(span_ms=100)
    for at_ms in range(1, 20_000):
        one.apply(batch([(1, at_ms, 1.0)]))
        if at_ms % 50 == 0:
            one.expire(at_ms)
    assert one.samples() < 8 * 150


def test_samples_of_the_future_do_not_hang_it() -> None:
    one = head(span_ms=100, most_samples=1)
    one.apply(batch([(1, at_ms, 1.0) for at_ms in range(1_000_000, 1_000_100)]))
    one.expire(1000)
    assert one.samples() == 100


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_another_thread_may_ask_for_the_newest_value(order: str) -> None:
    one = head()
    wrong: list[tuple[int, float]] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            newest = one.last(1)
            if newest is not None and newest[0] != int(newest[1]):
                wrong.append(newest)

    asking = threading.Thread(target=ask)
    asking.start()
    times = range(1, 3000)
    for at_ms in times if order == "ascending" else reversed(times):
        one.apply(batch([(1, at_ms, float(at_ms)), (1, at_ms, float(at_ms))]))
    ended.set()
    asking.join()
    assert not wrong
