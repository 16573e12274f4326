"""Evaluating an expression over steps of time.

Every step is worked out by itself from the samples in its own window: evaluating some steps now
and the following ones later gives the same values as evaluating all at once, which is what live
updates do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metrics.query import functions
from metrics.query.aggregate import aggregate
from metrics.query.errors import EvaluationError
from metrics.query.nodes import Aggregate, Call, Expression, Node
from metrics.query.select import NAME_LABEL, Selector
from metrics.query.spelling import spell
from metrics.query.windows import Floats, Ints, Labels, Samples, Source

DEFAULT_LOOKBACK_MS = 300_000


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A result: one row of ``values`` per label set, one column per time; NaN = no value.

    ``times`` are the steps in ms. Rows are sorted by their labels, no two rows have the same
    labels, and every row has at least one value.
    """

    times: Ints
    labels: list[Labels]
    values: Floats


@dataclass(frozen=True, slots=True)
class _Run:
    """What stays the same during one evaluation."""

    source: Source
    steps_ms: Ints
    lookback_ms: int

    def samples(self, selector: Selector) -> Samples | None:
        """The selected samples that any step can see; None when there are none."""
        window_ms = selector.range_ms or self.lookback_ms
        after_ms, end_ms = int(self.steps_ms[0]) - window_ms, int(self.steps_ms[-1])
        found = self.source.select(selector, after_ms, end_ms)
        series = [one for one in found if len(one.times)]
        return Samples(series, after_ms, end_ms) if series else None


def evaluate(
    expression: Expression,
    source: Source,
    start_ms: int,
    end_ms: int,
    step_ms: int,
    lookback_ms: int = DEFAULT_LOOKBACK_MS,
) -> Matrix:
    """The values at ``start_ms``, ``start_ms + step_ms``, ... up to and including ``end_ms``.

    Raises EvaluationError when the result would have two rows with the same labels and a value
    at the same time; ValueError for a step or a lookback that is not positive.
    """
    if step_ms <= 0 or lookback_ms <= 0:
        raise ValueError(f"a step and a lookback are positive, not {step_ms} and {lookback_ms} ms")
    steps_ms: Ints = np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)
    if len(steps_ms) == 0:
        return Matrix(steps_ms, [], np.empty((0, 0)))
    with np.errstate(all="ignore"):  # overflow and inf - inf have their IEEE results
        labels, values = _node(expression.root, _Run(source, steps_ms, lookback_ms))
        labels, values = _present(labels, values)
    order = sorted(range(len(labels)), key=lambda row: sorted(labels[row].items()))
    return Matrix(steps_ms, [labels[row] for row in order], values[order, :])


def _node(node: Node, run: _Run) -> tuple[list[Labels], Floats]:
    if isinstance(node, Aggregate):
        labels, values = _node(node.operand, run)
        return aggregate(node, labels, values) if labels else (labels, values)
    selector = node.argument if isinstance(node, Call) else node
    samples = run.samples(selector)
    if samples is None:
        return [], np.empty((0, len(run.steps_ms)))
    if isinstance(node, Call):
        return _call(node, samples, run.steps_ms)
    return samples.labels, functions.newest(samples, run.steps_ms, run.lookback_ms)


def _call(node: Call, samples: Samples, steps_ms: Ints) -> tuple[list[Labels], Floats]:
    function = functions.rate if node.function == "rate" else functions.increase
    values = function(samples, steps_ms, node.argument.range_ms)
    labels = [
        {name: value for name, value in one.items() if name != NAME_LABEL} for one in samples.labels
    ]
    if node.argument.metric_name is not None:
        return labels, values
    return _merged(node, *_present(labels, values))


def _present(labels: Sequence[Labels], values: Floats) -> tuple[list[Labels], Floats]:
    """Only the rows that have a value somewhere."""
    present = np.flatnonzero(~np.isnan(values).all(axis=1)).tolist()
    if len(present) == len(labels):
        return list(labels), values
    return [labels[row] for row in present], values[present, :]


def _merged(node: Call, labels: list[Labels], values: Floats) -> tuple[list[Labels], Floats]:
    """Rows that became equal with their metric name gone, as one row.

    Different metrics may take turns under one label set, but not have a value at the same time.
    """
    row_of: dict[tuple[tuple[str, str], ...], int] = {}
    rows = np.array([row_of.setdefault(tuple(sorted(o.items())), len(row_of)) for o in labels], int)
    if len(row_of) == len(labels):
        return labels, values
    merged = np.full((len(row_of), values.shape[1]), np.nan)
    for row, one in zip(rows, values, strict=True):
        has = ~np.isnan(one)
        if (has & ~np.isnan(merged[row])).any():
            shown = ", ".join(f'{name}="{value}"' for name, value in list(row_of)[row])
            raise EvaluationError(
                f"`{spell(node)}` selects several metrics with the same labels {{{shown}}}, which "
                f"`{node.function}` cannot tell apart without their names: select one metric"
            )
        merged[row, has] = one[has]
    return [dict(key) for key in row_of], merged
