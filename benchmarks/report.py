"""What one benchmark has found: values by name, repeated, with their spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Figure:
    """One measured quantity; `values` holds one for each repeat."""

    name: str
    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def as_json(self) -> dict[str, Any]:
        """With its spread, rounded to what can be meant."""
        return {
            "name": self.name,
            "unit": self.unit,
            "min": rounded(min(self.values)),
            "median": rounded(self.median),
            "max": rounded(max(self.values)),
            "values": [rounded(value) for value in self.values],
        }


class Report:
    """Collects the figures of one benchmark, and says each as soon as it is known."""

    def __init__(self, name: str, title: str, quiet: bool = False) -> None:
        self.name = name
        self.title = title
        self.notes: list[str] = []
        self.seconds = 0.0
        self._quiet = quiet
        self._figures: dict[str, Figure] = {}

    def add(self, name: str, unit: str, value: float) -> None:
        """One more repeat of the figure `name`."""
        figure = self._figures.setdefault(name, Figure(name, unit))
        figure.values.append(value)
        self.say(f"    {name:<64} {shown(value):>10} {unit}")

    def add_quantiles(self, name: str, unit: str, values: Sequence[float]) -> None:
        """p50, p99 and max of one repeat's values, as three figures."""
        if not values:
            self.note(f"{name}: nothing arrived")
            return
        self.add(f"{name}, p50", unit, quantile(values, 0.5))
        self.add(f"{name}, p99", unit, quantile(values, 0.99))
        self.add(f"{name}, max", unit, max(values))

    def note(self, sentence: str) -> None:
        """Something to know about the figures; kept with them, said once."""
        if sentence not in self.notes:
            self.notes.append(sentence)
            self.say(f"    note: {sentence}")

    def say(self, line: str) -> None:
        if not self._quiet:
            print(line, flush=True)

    def get(self, name: str) -> Figure:
        """A figure by name. Raises KeyError."""
        return self._figures[name]

    def values(self, name: str) -> Sequence[float]:
        """The repeats of a figure; none if there is no such figure."""
        return self._figures[name].values if name in self._figures else ()

    def figures(self) -> Iterable[Figure]:
        return self._figures.values()

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "seconds": round(self.seconds, 1),
            "notes": self.notes,
            "figures": [figure.as_json() for figure in self.figures()],
        }

    def table(self) -> str:
        """The figures with their spread, for a terminal."""
        lines = [f"  {'':<66} {'median':>10} {'min':>10} {'max':>10}"]
        for figure in self.figures():
            spread = (figure.median, min(figure.values), max(figure.values))
            cells = " ".join(f"{shown(value):>10}" for value in spread)
            lines.append(f"  {figure.name:<66} {cells}  {figure.unit}")
        return "\n".join(lines)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rounded(value: float) -> float:
    """Four digits that count: more would claim what was not measured."""
    return float(f"{value:.4g}")


def shown(value: float) -> str:
    """Such as 1,230,000 or 41.2 or 0.0123."""
    value = rounded(value)
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
