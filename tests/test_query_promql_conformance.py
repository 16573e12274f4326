"""Prometheus's own scripts decide what PromQL means; every case we claim to support is run."""

from __future__ import annotations

import numpy as np
import pytest

from metrics.query import EvaluationError, Expression, ExpressionError, evaluate, parse
from tests.support import promqltest
from tests.support.environment import SHARED
from tests.support.promqltest import Case, Key, Value

SCRIPTS = SHARED / "data" / "promqltest"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(
        not SCRIPTS.is_dir(),
        reason=f"Prometheus's scripts are not at {SCRIPTS}; PULSEBOARD_SHARED names another place",
    ),
]

# How many cases of a script ran when this was written: fewer means that some are skipped silently.
RUN_AT_LEAST = {
    "aggregators.test": 39,
    "functions.test": 10,
    "histograms.test": 4,
    "literals.test": 0,
    "operators.test": 2,
    "range_queries.test": 2,
    "selectors.test": 26,
    "staleness.test": 9,
    "subquery.test": 1,
}

RESULT_IS_NAN = "the result is NaN, which here means that there is no value"
STALE_MARKER = "a stale marker ends the series, and there are no stale markers here"
NAN_IS_STORED = "a sample is NaN, which here is no value"
CANNOT_HOLD = {
    ("aggregators.test", 636): ('avg(data{test="inf3"})', RESULT_IS_NAN),
    ("aggregators.test", 645): ('avg(data{test="-inf3"})', RESULT_IS_NAN),
    ("aggregators.test", 648): ('avg(data{test="nan"})', RESULT_IS_NAN),
    ("aggregators.test", 661): ("avg(data)", RESULT_IS_NAN),
    ("aggregators.test", 714): ('sum(data{test="inf_inf"})', RESULT_IS_NAN),
    ("aggregators.test", 717): ('avg(data{test="inf_inf"})', RESULT_IS_NAN),
    ("aggregators.test", 720): ('sum by (group) (data{test="nan"})', NAN_IS_STORED),
    ("aggregators.test", 724): ('avg by (group) (data{test="nan"})', NAN_IS_STORED),
    ("staleness.test", 8): ("metric", STALE_MARKER),
}


def runnable(case: Case) -> Expression | None:
    """The case's expression, if it is supported and needs no native histogram."""
    try:
        expression = parse(case.expression)
    except ExpressionError:
        return None
    if any(case.store.needs_histograms(selector) for selector in expression.selectors):
        return None
    return expression


def answer(case: Case, expression: Expression, margin_ms: int = 0) -> dict[Key, list[Value]]:
    """The values of the case's own steps, evaluated with some more steps around them if asked."""
    result = evaluate(
        expression,
        case.store,
        case.start_ms - margin_ms,
        case.end_ms + margin_ms,
        case.step_ms,
    )
    own = (result.times >= case.start_ms) & (result.times <= case.end_ms)
    return {
        tuple(sorted(labels.items())): [None if np.isnan(v) else float(v) for v in row[own]]
        for labels, row in zip(result.labels, result.values, strict=True)
        if not np.isnan(row[own]).all()
    }


def difference(case: Case, expression: Expression) -> str | None:
    """What is wrong with our answer, None when nothing is."""
    if case.must_fail:
        try:
            answer(case, expression)
        except EvaluationError:
            return None
        return "should be an error"
    expected = case.expected
    for margin_ms in (0, case.step_ms) if case.is_instant else (0,):
        got = answer(case, expression, margin_ms)
        if got.keys() != expected.keys():
            return f"series {sorted(got)} instead of {sorted(expected)}"
        for key, values in expected.items():
            if not all(map(promqltest.same, got[key], values)):
                return f"{dict(key)}: {got[key]} instead of {values}"
    return None


def cases_of(script: str) -> list[tuple[Case, Expression]]:
    found = [(case, runnable(case)) for case in promqltest.cases(SCRIPTS / script)]
    return [(case, expression) for case, expression in found if expression is not None]


@pytest.mark.parametrize("script", RUN_AT_LEAST)
def test_prometheus_scripts_give_prometheus_answers(script: str) -> None:
    wrong, ran = [], 0
    for case, expression in cases_of(script):
        if (script, case.line) in CANNOT_HOLD:
            continue
        ran += 1
        problem = difference(case, expression)
        if problem is not None:
            wrong.append(f"line {case.line}: {case.expression}: {problem}")
    assert not wrong, "\n".join(wrong)
    assert ran >= RUN_AT_LEAST[script], f"only {ran} cases of {script} ran"


@pytest.mark.parametrize(("script", "line"), CANNOT_HOLD)
def test_a_case_said_not_to_hold_does_not(script: str, line: int) -> None:
    expected_expression, _reason = CANNOT_HOLD[script, line]
    case, expression = next(pair for pair in cases_of(script) if pair[0].line == line)
    assert case.expression == expected_expression
    assert difference(case, expression) is not None


def test_every_script_is_read() -> None:
    found = {path.name for path in SCRIPTS.glob("*.test")}
    assert found == set(RUN_AT_LEAST)
