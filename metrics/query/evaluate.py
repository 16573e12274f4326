"""Evaluating an expression over steps of time.

Every step is worked out by itself from the samples in its own window: evaluating some steps now
and the following ones later gives the same values as evaluating all at once, which is what live
updates do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metrics.query import functions
from metrics.query.aggregate import aggregate
from metrics.query.errors import EvaluationError
from metrics.query.nodes import Aggregate, Call, Expression, Node
from metrics.query.rows import Band, Rows
from metrics.query.select import NAME_LABEL, Selector
from metrics.query.spelling import spell
from metrics.query.windows import Floats, Ints, Labels, Samples, Source, blocks

DEFAULT_LOOKBACK_MS = 300_000


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A result: one row of ``values`` per label set, one column per time; NaN = no value.

    ``times`` are the steps in ms. Rows are sorted by their labels, no two rows have the same
    labels, and every row has at least one value.

    A value is what counts at its step. ``low`` and ``high``, if they were asked for, are the
    least and the greatest of all there was since the step before, or the value where that is not
    known; None when they are no others than the values.
    """

    times: Ints
    labels: list[Labels]
    values: Floats
    low: Floats | None = None
    high: Floats | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    """What stays the same during one evaluation; ``band_ms`` is 0 when no band is wanted."""

    source: Source
    steps_ms: Ints
    lookback_ms: int
    band_ms: int

    def samples(self, selector: Selector) -> list[Samples]:
        """The selected samples that any step can see; of a range selector in one piece.

        What a counter grew comes from running totals over all series: their last digits must
        not depend on how series are cut into pieces.
        """
        window_ms = selector.range_ms or max(self.lookback_ms, self.band_ms)
        after_ms, end_ms = int(self.steps_ms[0]) - window_ms, int(self.steps_ms[-1])
        found = self.source.select(selector, after_ms, end_ms)
        if selector.range_ms:
            series = [one for one in found if len(one.times)]
            return [Samples(series, after_ms, end_ms)] if series else []
        return blocks(found, after_ms, end_ms)


def evaluate(
    expression: Expression,
    source: Source,
    start_ms: int,
    end_ms: int,
    step_ms: int,
    lookback_ms: int = DEFAULT_LOOKBACK_MS,
    *,
    band: bool = False,
) -> Matrix:
    """The values at ``start_ms``, ``start_ms + step_ms``, ... up to and including ``end_ms``.

    With ``band`` also the least and the greatest value of each step, where they can be known:
    of a selector alone; of an aggregation whose group is one series; the greatest of ``max`` and
    the least of ``min``. A sum's extremes, or a rate's, are not made of those of its series.

    Raises EvaluationError when the result would have two rows with the same labels and a value
    at the same time; ValueError for a step or a lookback that is not positive.
    """
    if step_ms <= 0 or lookback_ms <= 0:
        raise ValueError(f"a step and a lookback are positive, not {step_ms} and {lookback_ms} ms")
    steps_ms: Ints = np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)
    if len(steps_ms) == 0:
        return Matrix(steps_ms, [], np.empty((0, 0)))
    with np.errstate(all="ignore"):  # overflow and inf - inf have their IEEE results
        rows = _node(expression.root, _Run(source, steps_ms, lookback_ms, step_ms if band else 0))
        rows = rows.present()
    order = sorted(range(len(rows.labels)), key=lambda row: sorted(rows.labels[row].items()))
    rows = rows.take(order)
    found = rows.telling_band()
    low, high = (found.low, found.high) if found is not None else (None, None)
    return Matrix(steps_ms, rows.labels, rows.values, low, high)


def _node(node: Node, run: _Run) -> Rows:
    if isinstance(node, Aggregate):
        rows = _node(node.operand, run)
        return aggregate(node, rows) if rows.labels else rows
    selector = node.argument if isinstance(node, Call) else node
    samples = run.samples(selector)
    if not samples:
        return Rows([], np.empty((0, len(run.steps_ms))))
    if isinstance(node, Call):
        return _call(node, samples[0], run.steps_ms)
    labels = [one for block in samples for one in block.labels]
    if not run.band_ms:
        newest = [functions.newest(block, run.steps_ms, run.lookback_ms) for block in samples]
        return Rows(labels, np.concatenate(newest))
    found = [
        functions.newest_and_extremes(block, run.steps_ms, run.band_ms, run.lookback_ms)
        for block in samples
    ]
    low, high = (np.concatenate([getattr(band, n) for _, band in found]) for n in ("low", "high"))
    return Rows(labels, np.concatenate([values for values, _ in found]), Band(low, high))


def _call(node: Call, samples: Samples, steps_ms: Ints) -> Rows:
    function = functions.rate if node.function == "rate" else functions.increase
    values = function(samples, steps_ms, node.argument.range_ms)
    labels = [
        {name: value for name, value in one.items() if name != NAME_LABEL} for one in samples.labels
    ]
    rows = Rows(labels, values)
    return rows if node.argument.metric_name is not None else _merged(node, rows.present())


def _merged(node: Call, found: Rows) -> Rows:
    """Rows that became equal with their metric name gone, as one row.

    Different metrics may take turns under one label set, but not have a value at the same time.
    """
    row_of: dict[tuple[tuple[str, str], ...], int] = {}
    keys = [tuple(sorted(one.items())) for one in found.labels]
    rows = [row_of.setdefault(key, len(row_of)) for key in keys]
    if len(row_of) == len(found.labels):
        return found
    values = found.values
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
    return Rows([dict(key) for key in row_of], merged)
