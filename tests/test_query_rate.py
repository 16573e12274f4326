"""rate and increase against their definition, written out plainly; and evaluation in parts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.memory_source import Sample, run, series, table


def plain_increase(samples: Sequence[Sample], step: int, range_ms: int) -> float | None:
    """Prometheus's definition for one window, read from its description, with no vectors."""
    window = [(time, value) for time, value in samples if step - range_ms < time <= step]
    if len(window) < 2:
        return None
    grown = window[-1][1] - window[0][1]
    for (_, before), (_, after) in itertools.pairwise(window):
        if after < before:
            grown += before
    to_start = (window[0][0] - (step - range_ms)) / 1000
    to_end = (step - window[-1][0]) / 1000
    sampled = (window[-1][0] - window[0][0]) / 1000
    average = sampled / (len(window) - 1)
    if to_start >= average * 1.1:
        to_start = average / 2
    if grown > 0 and window[0][1] >= 0:
        to_start = min(to_start, sampled * (window[0][1] / grown))
    if to_end >= average * 1.1:
        to_end = average / 2
    return grown * (sampled + to_start + to_end) / sampled


def agree(got: float | None, expected: float | None) -> bool:
    if got is None or expected is None:
        return got is expected
    return math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9)


def exactly(got: float | None, expected: float | None) -> bool:
    """Equal but for the last digits of a sum."""
    if got is None or expected is None:
        return got is expected
    return math.isclose(got, expected, rel_tol=1e-13, abs_tol=1e-13)


COUNTERS = st.lists(
    st.tuples(
        st.integers(1, 60_000),
        st.one_of(st.integers(0, 20).map(float), st.floats(-1e6, 1e6, allow_nan=False)),
    ),
    max_size=40,
    unique_by=lambda sample: sample[0],
).map(sorted)
MANY_COUNTERS = st.lists(COUNTERS, min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(MANY_COUNTERS, st.integers(0, 70_000), st.integers(1, 20_000), st.integers(1, 40_000))
def test_rate_and_increase_are_what_their_definition_says(
    counters: list[list[Sample]], start: int, step: int, range_ms: int
) -> None:
    held = [series("x", samples, i=str(i)) for i, samples in enumerate(counters)]
    steps = range(start, start + 5 * step, step)
    increases = table(run(f"increase(x[{range_ms}ms])", held, start, steps[-1], step))
    rates = table(run(f"rate(x[{range_ms}ms])", held, start, steps[-1], step))
    for number, samples in enumerate(counters):
        expected = [plain_increase(samples, step, range_ms) for step in steps]
        nothing: list[float | None] = [None] * len(steps)
        for got, want in zip(increases.get(f"i={number}", nothing), expected, strict=True):
            assert agree(got, want)
        for got, want in zip(rates.get(f"i={number}", nothing), expected, strict=True):
            assert agree(got, None if want is None else want / (range_ms / 1000))


def test_a_restart_of_a_huge_counter_does_not_blur_a_later_small_one() -> None:
    values = [9e18, 0.0, 7.25, 1.5, 3.0, 0.5]
    held = [series("x", [(1000 * (i + 1), value) for i, value in enumerate(values)])]
    got = table(run("increase(x[3s])", held, 6000, 6000, 1000))
    assert got == table(
        run("increase(x[3s])", [series("x", [(4000, 1.5), (5000, 3.0), (6000, 0.5)])], 6000, 6000)
    )
    after = table(run("increase(x[3s])", held, 3000, 6000, 1000))[""]
    assert after[-1] == got[""][0]


def test_where_one_series_ends_and_the_next_begins_is_no_reset() -> None:
    huge = [(1000, 0.0), (2000, 1.7e308)]
    held = [series("x", huge, i=str(i)) for i in range(3)]
    held.append(series("x", [(0, 3.0), (1000, 5.0), (2000, 1.0)], i="small"))
    assert table(run("increase(x{}[3s])", held, 2000, 2000))["i=small"] == [pytest.approx(4.5)]


def test_an_infinite_reading_harms_only_the_windows_it_is_in() -> None:
    values = [1.0, math.inf, 3.0, 4.0, 2.0, 5.0]
    held = [series("x", [(1000 * i, value) for i, value in enumerate(values)])]
    got = table(run("increase(x[4s])", held, 3000, 5000, 1000))[""]
    assert got == [math.inf, None, pytest.approx(8.0)]


# -- Live updates evaluate only the newest steps

EXPRESSIONS = [
    "x",
    "rate(x[7s])",
    "increase(x[20s])",
    "sum(x)",
    "avg by (i) (rate(x[9s]))",
    "count(x)",
]


@settings(max_examples=100, deadline=None)
@given(MANY_COUNTERS, st.sampled_from(EXPRESSIONS), st.integers(0, 20), st.integers(0, 20))
def test_steps_evaluated_in_two_parts_join_to_the_whole(
    counters: list[list[Sample]], text: str, before: int, after: int
) -> None:
    held = [series("x", samples, i=str(i)) for i, samples in enumerate(counters)]
    cut = before * 2000
    whole = table(run(text, held, 0, cut + after * 2000, 2000))
    first = table(run(text, held, 0, cut, 2000))
    second = table(run(text, held, cut + 2000, cut + after * 2000, 2000))
    assert whole.keys() == first.keys() | second.keys()
    for key, values in whole.items():
        joined = first.get(key, [None] * (before + 1)) + second.get(key, [None] * after)
        assert all(itertools.starmap(exactly, zip(joined, values, strict=True)))
