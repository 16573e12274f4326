"""The expression tree: what is left of a text once everything unsupported has been refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeGuard

from metrics.query.select import Selector

FunctionName = Literal["rate", "increase"]
AggregationName = Literal["sum", "avg", "min", "max", "count"]


def is_function(name: str) -> TypeGuard[FunctionName]:
    return name in ("rate", "increase")


def is_aggregation(name: str) -> TypeGuard[AggregationName]:
    return name in ("sum", "avg", "min", "max", "count")


@dataclass(frozen=True, slots=True)
class Call:
    """A function of a range: ``rate(x_total[1m])``."""

    function: FunctionName
    argument: Selector


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregation; ``grouping`` are the labels kept, or, with ``without``, those dropped."""

    operator: AggregationName
    operand: Node
    grouping: tuple[str, ...] = ()
    without: bool = False


Node = Selector | Call | Aggregate


@dataclass(frozen=True, slots=True)
class Expression:
    """A query that can be evaluated; ``text`` is its canonical spelling."""

    text: str
    root: Node

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """Every selector, in the order of the text."""
        return tuple(_selectors(self.root))

    def window_ms(self, lookback_ms: int) -> int:
        """How far before a step samples matter, in ms: the longest range or the lookback."""
        return max(selector.range_ms or lookback_ms for selector in self.selectors)


def _selectors(node: Node) -> Iterator[Selector]:
    while isinstance(node, Aggregate):
        node = node.operand
    yield node.argument if isinstance(node, Call) else node
