"""Aggregations over series: sum, avg, min, max and count, for all steps at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from metrics.query.nodes import Aggregate, AggregationName
from metrics.query.rows import Band, Rows
from metrics.query.select import NAME_LABEL
from metrics.query.windows import Floats, Ints, Labels


class Groups:
    """Rows in the order of their groups: group ``g`` is the rows ``starts[g]`` to the next."""

    def __init__(self, sizes: Ints) -> None:
        self.sizes = sizes
        self.starts: Ints = np.cumsum(sizes) - sizes
        self.rank: Ints = np.arange(sizes.sum()) - np.repeat(self.starts, sizes)


def aggregate(node: Aggregate, rows: Rows) -> Rows:
    """One row per group of the rows, with the group's labels."""
    rows_of: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for row, one in enumerate(rows.labels):
        rows_of.setdefault(_group_key(node, one), []).append(row)
    order = [row for members in rows_of.values() for row in members]
    groups = Groups(np.array([len(members) for members in rows_of.values()], dtype=np.int64))
    rows = rows.take(order)
    values = _OPERATORS[node.operator](rows.values, groups)
    return Rows([dict(key) for key in rows_of], values, _band(node.operator, rows, groups))


def _band(operator: AggregationName, rows: Rows, groups: Groups) -> Band | None:
    """The extremes of each group, NaN where those of its rows do not say them.

    The greatest of a maximum is the greatest of all; its least would need to be looked for at
    every moment. Of a group of one row all is known.
    """
    if rows.band is None or operator == "count":
        return None
    alone = (groups.sizes == 1)[:, np.newaxis]
    low = np.where(alone, rows.band.low[groups.starts], np.nan)
    high = np.where(alone, rows.band.high[groups.starts], np.nan)
    has_value = ~np.isnan(rows.values)
    if operator == "min":
        unknown = np.logical_or.reduceat(has_value & np.isnan(rows.band.low), groups.starts)
        low = np.where(unknown, np.nan, _min(rows.band.low, groups))
    elif operator == "max":
        unknown = np.logical_or.reduceat(has_value & np.isnan(rows.band.high), groups.starts)
        high = np.where(unknown, np.nan, _max(rows.band.high, groups))
    return Band(low, high)


def _group_key(node: Aggregate, labels: Labels) -> tuple[tuple[str, str], ...]:
    if not node.without:
        return tuple((name, labels[name]) for name in node.grouping if labels.get(name))
    dropped = node.grouping
    return tuple(
        sorted(pair for pair in labels.items() if pair[0] not in dropped and pair[0] != NAME_LABEL)
    )


def _count(values: Floats, groups: Groups) -> Floats:
    """How many rows of each group have a value; NaN instead of 0."""
    present = np.add.reduceat((~np.isnan(values)).astype(np.float64), groups.starts, axis=0)
    return np.where(present > 0, present, np.nan)


def _sum(values: Floats, groups: Groups) -> Floats:
    return np.where(np.isnan(_count(values, groups)), np.nan, _totals(values, groups))


def _avg(values: Floats, groups: Groups) -> Floats:
    """The mean; where the sum overflows although the mean need not, from values divided first."""
    count = _count(values, groups)
    mean = _totals(values, groups) / count
    if np.isinf(mean).any():
        mean = np.where(
            np.isinf(mean), _totals(values / np.repeat(count, groups.sizes, axis=0), groups), mean
        )
    return np.where(np.isnan(count), np.nan, mean)


def _min(values: Floats, groups: Groups) -> Floats:
    return np.fmin.reduceat(values, groups.starts, axis=0)


def _max(values: Floats, groups: Groups) -> Floats:
    return np.fmax.reduceat(values, groups.starts, axis=0)


def _totals(values: Floats, groups: Groups) -> Floats:
    """The sum of each group, in pairs of pairs, with the rounding errors added up beside it."""
    sums = np.where(np.isnan(values), 0.0, values)
    errors = np.zeros_like(sums)
    size = int(groups.sizes.max())
    while size > 1:
        half = (size + 1) // 2
        source = np.flatnonzero((groups.rank >= half) & (groups.rank < size))
        target = source - half
        left, right = sums[target], sums[source]
        total = left + right
        added = total - left
        lost = (left - (total - added)) + (right - added)
        sums[target] = total
        errors[target] += errors[source] + np.where(np.isfinite(total), lost, 0.0)
        size = half
    return sums[groups.starts] + errors[groups.starts]


_OPERATORS: Final[dict[AggregationName, Callable[[Floats, Groups], Floats]]] = {
    "sum": _sum,
    "avg": _avg,
    "min": _min,
    "max": _max,
    "count": _count,
}
