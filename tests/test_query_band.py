"""The least and the greatest between steps: where they are known, and that nothing is missed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.query import Matrix, SeriesData, evaluate, parse
from tests.support.memory_source import Memory, Sample, series

LOOKBACK = 5000


def run(text: str, held: list[SeriesData], start: int, end: int, step: int) -> Matrix:
    return evaluate(parse(text), Memory(held), start, end, step, LOOKBACK, band=True)


def band(matrix: Matrix, row: int = 0) -> list[tuple[float, float, float]]:
    """(least, value, greatest) at each step."""
    assert matrix.low is not None
    assert matrix.high is not None
    rows = matrix.low[row], matrix.values[row], matrix.high[row]
    return [*zip(*(one.tolist() for one in rows), strict=True)]


SPIKE = [(1000, 5.0), (2000, 5.0), (2100, 99.0), (2200, 5.0), (3000, 5.0), (4000, 5.0)]


@pytest.mark.parametrize("text", ["rate(x[4s])", "increase(x[4s])", "count(x)", "sum(rate(x[4s]))"])
def test_what_is_not_made_of_extremes_has_no_band(text: str) -> None:
    found = run(text, [series("x", SPIKE)], 2000, 8000, 2000)
    assert found.values.size
    assert found.low is None
    assert found.high is None


def test_no_band_is_made_unless_it_is_asked_for() -> None:
    found = evaluate(parse("x"), Memory([series("x", SPIKE)]), 2000, 4000, 2000, LOOKBACK)
    assert found.low is None


def test_a_band_that_says_no_more_than_the_values_is_left_out() -> None:
    held = [series("x", [(1000, 1.0), (2000, 2.0)])]
    assert run("x", held, 1000, 5000, 1000).low is None


def test_a_spike_between_steps_is_in_the_band_of_the_step_after_it() -> None:
    found = run("x", [series("x", SPIKE)], 2000, 6000, 2000)
    assert band(found) == [(5.0, 5.0, 5.0), (5.0, 5.0, 99.0), (5.0, 5.0, 5.0)]


def test_steps_longer_than_the_lookback_show_all_that_was() -> None:
    found = run("x", [series("x", [*SPIKE, (20_000, 7.0)])], 20_000, 20_000, 20_000)
    assert band(found) == [(5.0, 7.0, 99.0)]


def test_the_greatest_of_a_maximum_is_known_and_its_least_is_not() -> None:
    held = [series("x", SPIKE, host="a"), series("x", [(2500, 1.0), (3000, 8.0)], host="b")]
    assert band(run("max(x)", held, 4000, 4000, 2000)) == [(8.0, 8.0, 99.0)]
    assert band(run("min(x)", held, 4000, 4000, 2000)) == [(1.0, 5.0, 5.0)]
    assert run("sum(x)", held, 4000, 4000, 2000).low is None
    assert run("max(sum by (all) (x))", held, 4000, 4000, 2000).low is None


@pytest.mark.parametrize("operator", ["sum", "avg", "min", "max"])
def test_a_group_of_one_series_has_the_band_of_that_series(operator: str) -> None:
    held = [
        series("x", SPIKE, host="a"),
        series("x", SPIKE, host="b", disk="1"),
        series("x", [(2500, 1.0), (3000, 8.0)], host="b", disk="2"),
    ]
    found = run(f"{operator} by (host) (x)", held, 4000, 4000, 2000)
    assert found.labels[0] == {"host": "a"}
    assert band(found)[0] == (5.0, 5.0, 99.0)
    if operator in ("sum", "avg"):
        assert len(set(band(found, 1)[0])) == 1


values = st.integers(-5, 5).map(float)


@given(
    st.lists(
        st.dictionaries(st.integers(1, 60), values, min_size=1, max_size=30), min_size=1, max_size=3
    ),
    st.integers(1, 20),
    st.sampled_from(["x", "max(x)", "min(x)"]),
)
def test_a_band_is_what_a_look_at_every_sample_finds(
    held: list[dict[int, float]], step: int, text: str
) -> None:
    samples: list[list[Sample]] = [sorted(one.items()) for one in held]
    data = [series("x", one, host=str(i)) for i, one in enumerate(samples)]
    matrix = evaluate(parse(text), Memory(data), step, 80, step, 10, band=True)
    for row, labels in enumerate(matrix.labels):
        mine = samples if text != "x" else [samples[int(labels["host"])]]
        for at, time in enumerate(matrix.times.tolist()):
            value = matrix.values[row, at]
            inside = [v for one in mine for t, v in one if time - step < t <= time]
            seen = [
                newest[0][1] for one in mine if (newest := [s for s in one if s[0] <= time][-1:])
                if newest[0][0] > time - 10
            ]  # fmt: skip
            low = min([*inside, *seen], default=math.nan)
            high = max([*inside, *seen], default=math.nan)
            if len(mine) > 1 and text == "max(x)":
                low = value
            if len(mine) > 1 and text == "min(x)":
                high = value
            found_low = value if matrix.low is None else matrix.low[row, at]
            found_high = value if matrix.high is None else matrix.high[row, at]
            if matrix.low is None and np.isnan(value):
                continue
            np.testing.assert_equal((found_low, found_high), (low, high))
