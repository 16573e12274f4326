"""How long and how often is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """`window_s` is what one measurement lasts, after `warm_s` that do not count."""

    name: str
    repeats: int
    window_s: float
    warm_s: float
    watchers: int
    fan_outs: tuple[int, ...]
    commands: int
    starts: int


FULL = Scale("full", 3, 3.0, 1.0, 100, (100, 500), 5, 3)
QUICK = Scale("quick", 1, 1.0, 0.5, 100, (50,), 2, 1)
TINY = Scale("tiny", 1, 0.3, 0.2, 5, (5,), 1, 1)  # for the test that the harness works
