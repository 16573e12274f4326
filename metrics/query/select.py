"""Which series an expression asks for: label matchers and selectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from metrics.query.automaton import compiled
from metrics.query.errors import ExpressionError

NAME_LABEL: Final = "__name__"

MatchOperator = Literal["=", "!=", "=~", "!~"]
_OPERATORS: Final = ("=", "!=", "=~", "!~")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. A label that is not there counts as empty, as in PromQL.

    Regexes must match the whole value; making a Matcher of a bad one raises ExpressionError.
    """

    name: str
    op: MatchOperator
    value: str

    def __post_init__(self) -> None:
        if self.op not in _OPERATORS:
            raise ExpressionError(f"`{self.op}` is not one of =, !=, =~ and !~")
        if self.is_regex:
            compiled(self.value)

    @property
    def is_regex(self) -> bool:
        return self.op in ("=~", "!~")

    @property
    def is_negated(self) -> bool:
        return self.op in ("!=", "!~")

    def matches(self, value: str) -> bool:
        """Whether a label value (empty for an absent label) fits."""
        equal = compiled(self.value)(value) if self.is_regex else value == self.value
        return equal != self.is_negated


@dataclass(frozen=True, slots=True)
class Selector:
    """The series that fit all matchers; ``range_ms`` is 0 unless a range such as [5m] follows."""

    matchers: tuple[Matcher, ...]
    range_ms: int = 0

    @property
    def metric_name(self) -> str | None:
        """The one metric name selected by ``=``, for a look-up by name; None when there is none."""
        for matcher in self.matchers:
            if matcher.name == NAME_LABEL and matcher.op == "=":
                return matcher.value
        return None

    @property
    def matches_everything_empty(self) -> bool:
        """True for a selector PromQL refuses, as no label need be there: ``{}``, ``{a=~".*"}``."""
        return all(matcher.matches("") for matcher in self.matchers)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels (its name under ``__name__``) is selected."""
        return all(matcher.matches(labels.get(matcher.name, "")) for matcher in self.matchers)
