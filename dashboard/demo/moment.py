"""What one step of a demo says, before anybody has published it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

PREFIX = "Demo: "  # of every event's title: event lists are everybody's


class Point(NamedTuple):
    """A reading, or an increment of a counter."""

    name: str
    value: float
    labels: dict[str, str]


class Observation(NamedTuple):
    """One value for a histogram; `bounds` are its buckets' upper bounds."""

    name: str
    value: float
    bounds: tuple[float, ...]

    def increments(self) -> list[Point]:
        """What publish.observe() makes of it."""
        points = [Point(f"{self.name}_sum", self.value, {}), Point(f"{self.name}_count", 1.0, {})]
        for bound in (*self.bounds, math.inf):
            le = "+Inf" if bound == math.inf else f"{bound:g}"
            points.append(Point(f"{self.name}_bucket", float(self.value <= bound), {"le": le}))
        return points


class Told(NamedTuple):
    """An event."""

    title: str
    text: str


@dataclass(slots=True)
class Moment:
    """Everything that one step publishes."""

    gauges: list[Point] = field(default_factory=list)
    increments: list[Point] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    events: list[Told] = field(default_factory=list)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges.append(Point(name, float(value), labels))

    def count(self, name: str, by: float, **labels: str) -> None:
        """Also by 0: a counter that is quiet is drawn as quiet, not as absent."""
        self.increments.append(Point(name, float(by), labels))

    def observe(self, name: str, value: float, bounds: tuple[float, ...]) -> None:
        self.observations.append(Observation(name, float(value), bounds))

    def tell(self, title: str, text: str = "") -> None:
        self.events.append(Told(title, text))


class Simulation(Protocol):
    """Makes the same moments of the same seed and the same steps; knows no clock."""

    def step(self, seconds: float) -> Moment:
        """What happened in the next `seconds`."""
        ...


class Wander:
    """A value that is driven about by chance and drawn back to zero.

    The Ornstein-Uhlenbeck process, in its exact form: steps of any length give the same picture.
    `sway` is its standard deviation in the long run, `seconds` how long it remembers.
    """

    def __init__(self, rng: np.random.Generator, sway: float, seconds: float) -> None:
        self._rng = rng
        self._sway = sway
        self._memory_s = seconds
        self.value = sway * float(rng.normal())

    def step(self, seconds: float) -> float:
        kept = math.exp(-seconds / self._memory_s)
        noise = self._sway * math.sqrt(1.0 - kept * kept)
        self.value = self.value * kept + noise * float(self._rng.normal())
        return self.value


def approach(value: float, target: float, seconds: float, memory_s: float) -> float:
    """`value` on its way to `target`, after so many seconds."""
    return target + (value - target) * math.exp(-seconds / memory_s)


def chosen(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """One of the keys, by its weight."""
    names = list(weights)
    shares = np.array([weights[name] for name in names])
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]
