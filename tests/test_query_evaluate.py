"""Evaluating: which samples a step sees, and how series are put together."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.query import EvaluationError, Selector, SeriesData, evaluate, parse
from tests.support.memory_source import Memory, at_once, run, series, table

# -- What is refused


def test_metrics_that_only_their_names_tell_apart_are_refused() -> None:
    held = [series(name, [(1000, 1), (2000, 2)], job="web") for name in ("a_total", "b_total")]
    with pytest.raises(EvaluationError, match=r'same labels \{job="web"\}.*select one metric'):
        run('rate({__name__=~"._total"}[5s])', held, 2000, 2000)


def test_metrics_that_take_turns_become_one_row() -> None:
    held = [
        series("old_total", [(1000, 1), (2000, 2)]),
        series("new_total", [(9000, 5), (10000, 9)]),
    ]
    got = table(run('increase({__name__=~".*_total"}[2s])', held, 2000, 10_000, 4000))
    assert got == {"": [2.0, None, 8.0]}


@pytest.mark.parametrize(("step", "lookback"), [(0, 1000), (-1, 1000), (1000, 0)])
def test_a_step_or_lookback_that_is_not_positive_is_refused(step: int, lookback: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        evaluate(parse("x"), Memory([]), 0, 1000, step, lookback_ms=lookback)


# -- Selectors


def test_a_selector_shows_the_newest_sample_within_the_lookback() -> None:
    held = [series("x", [(1000, 10), (2500, 25)], job="web")]
    assert table(run("x", held, 0, 8000)) == {
        "__name__=x,job=web": [None, 10, 10, 25, 25, 25, 25, 25, None]
    }


def test_the_lookback_is_open_at_its_far_end() -> None:
    held = [series("x", [(1000, 1)])]
    assert at_once("x", held, 5999) == {"__name__=x": [1]}
    assert at_once("x", held, 6000) == {}


def test_nothing_selected_gives_an_empty_matrix_with_its_steps() -> None:
    for text in ("x", "rate(x[1m])", "sum(x)", "count by (job) (rate(x[1m]))"):
        matrix = run(text, [series("x", [])], 0, 3000)
        assert (matrix.times.tolist(), matrix.labels) == ([0, 1000, 2000, 3000], [])
        assert matrix.values.shape == (0, 4)


def test_no_steps_give_no_columns() -> None:
    assert run("x", [series("x", [(0, 1)])], 1000, 0).values.shape == (0, 0)


def test_only_the_samples_that_matter_are_asked_for() -> None:
    source = Memory([])
    evaluate(parse("rate(x[1m])"), source, 100_000, 130_000, 10_000)
    evaluate(parse("sum(x)"), source, 400_000, 405_000, 10_000)
    assert source.asked == [(40_000, 130_000), (100_000, 400_000)]


def test_samples_outside_what_was_asked_for_change_nothing() -> None:
    class Generous(Memory):
        def select(self, selector: Selector, start_ms: int, end_ms: int) -> list[SeriesData]:
            return [one for one in self.series if selector.matches(one.labels)]

    held = [series("x", [(t, t * t) for t in range(0, 60_000, 700)], i=str(i)) for i in range(3)]
    for text in ("x", "rate(x[5s])", "sum(increase(x[9s]))"):
        strict = evaluate(parse(text), Memory(held), 20_000, 30_000, 1000, lookback_ms=500)
        generous = evaluate(parse(text), Generous(held), 20_000, 30_000, 1000, lookback_ms=500)
        assert table(strict) == table(generous)


def test_rows_come_sorted_by_their_labels() -> None:
    labels = [{"z": "1"}, {"a": "2"}, {"a": "10"}, {"a": "1", "b": "1"}, {}]
    orders = itertools.islice(itertools.permutations(labels), 0, 120, 17)
    results = [
        run("x", [series("x", [(0, 1)], **one) for one in order], 0, 0).labels for order in orders
    ]
    assert all(result == results[0] for result in results)
    assert [sorted(one.items()) for one in results[0]] == sorted(
        sorted(one.items()) for one in results[0]
    )


# -- Aggregations


def servers() -> list[SeriesData]:
    return [
        series("x", [(0, 1)], job="web", host="a"),
        series("x", [(0, 2)], job="web", host="b"),
        series("x", [(0, 40)], job="db", host="a"),
        series("x", [(-9000, 5)], job="db", host="c"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum(x)", {"": [43]}),
        ("avg(x)", {"": [43 / 3]}),
        ("min(x)", {"": [1]}),
        ("max(x)", {"": [40]}),
        ("count(x)", {"": [3]}),
        ("sum by (job) (x)", {"job=web": [3], "job=db": [40]}),
        ("count by (job, missing) (x)", {"job=web": [2], "job=db": [1]}),
        ("sum by (__name__) (x)", {"__name__=x": [43]}),
        ("max without (host) (x)", {"job=web": [2], "job=db": [40]}),
        ("sum without () (x{job='db'})", {"host=a,job=db": [40]}),
        ("max(sum by (host) (x))", {"": [41]}),
        ("count(count by (host) (x))", {"": [2]}),
    ],
)
def test_aggregations_group_as_promql_does(text: str, expected: dict[str, list[float]]) -> None:
    assert at_once(text, servers(), 0) == expected


def test_a_group_has_a_value_only_where_one_of_its_series_has() -> None:
    held = [series("x", [(0, 1)], i="1"), series("x", [(8000, 2)], i="2")]
    for operator, second in (("sum", 2), ("avg", 2), ("min", 2), ("max", 2), ("count", 1)):
        got = table(run(f"{operator}(x)", held, 0, 8000, 4000))
        assert got == {"": [1, 1, second]}
        assert table(run(f"{operator}(x)", held, 0, 9000, 3000)) == {"": [1, 1, None, second]}


@pytest.mark.parametrize(
    ("values", "total", "mean"),
    [
        ([0.1] * 10, 1.0, 0.1),
        ([2.0, 8.0, 1e100, -1e100], 10.0, 2.5),
        ([1e308, 1e308, 1e308], math.inf, 1e308),
        ([-1e308, -1e308], -math.inf, -1e308),
        ([math.inf, 1.0], math.inf, math.inf),
        ([-math.inf, 1.0], -math.inf, -math.inf),
    ],
)
def test_sums_and_means_are_numerically_sound(
    values: list[float], total: float, mean: float
) -> None:
    held = [series("x", [(0, value)], i=str(i)) for i, value in enumerate(values)]
    assert at_once("sum(x)", held, 0) == {"": [total]}
    assert at_once("avg(x)", held, 0)[""] == [pytest.approx(mean, rel=1e-15)]


def test_infinities_of_both_signs_have_no_sum() -> None:
    held = [series("x", [(0, math.inf)], i="1"), series("x", [(0, -math.inf)], i="2")]
    assert at_once("sum(x)", held, 0) == {}
    assert at_once("max(x)", held, 0) == {"": [math.inf]}


VALUES = st.lists(
    st.tuples(st.sampled_from("abc"), st.floats(-1e9, 1e9, allow_nan=False)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_aggregations_agree_with_plain_python(values: list[tuple[str, float]]) -> None:
    held = [series("x", [(0, v)], job=job, i=str(i)) for i, (job, v) in enumerate(values)]
    for job in {job for job, _ in values}:
        own = [value for one, value in values if one == job]
        expected = {
            "sum": math.fsum(own),
            "avg": math.fsum(own) / len(own),
            "min": min(own),
            "max": max(own),
            "count": len(own),
        }
        for operator, value in expected.items():
            got = at_once(f"{operator} by (job) (x)", held, 0)[f"job={job}"]
            assert got == [pytest.approx(value, rel=1e-14, abs=1e-300)]
