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
    share: float  # of the samples that are stored to be measured
    many_series: tuple[int, ...]
    reads: int  # of each question, in turns
    crowd: int  # browsers that get ten updates a second
    idle_sockets: int
    forms_crowd: int
    browser_s: float  # how long a page is watched

    def part(self, count: int, unit: int = 1) -> int:
        """This scale's share of so many, as whole units, at least two."""
        return max(2, round(self.share * count / unit)) * unit


FULL = Scale(
    "full",
    3,
    3.0,
    1.0,
    100,
    (500,),
    5,
    3,
    1.0,
    (1_000, 10_000, 100_000),
    15,
    1_000,
    10_000,
    100,
    108.0,
)
QUICK = Scale("quick", 1, 1.0, 0.5, 100, (50,), 2, 1, 0.05, (1_000, 2_000), 5, 200, 500, 20, 6.0)
HALF_AN_HOUR_S = 1800.0
# For the test that the harness works.
TINY = Scale("tiny", 1, 0.3, 0.2, 5, (5,), 1, 1, 0.002, (20,), 2, 5, 60, 3, 0.3)
