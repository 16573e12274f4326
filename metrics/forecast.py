"""What storage will take, and how long samples can be kept; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metrics.chunks import RESOLUTIONS_MS, SAMPLES

YEAR_DAYS = 365

Days = Mapping[int, int]  # by resolution; 0: for ever
Rates = Mapping[int, float]  # by resolution, bytes a day


@dataclass(frozen=True, slots=True)
class Forecast:
    """At the present rate; everything in bytes.

    `after_a_year`: what chunks will take then, as they are kept by the rules. `days_of_samples`:
    so many days of samples the disk budget leaves room for once rollups have grown for a year;
    None where there is no budget, or it holds everything.
    """

    daily: float
    after_a_year: float
    days_of_samples: float | None


def forecast(metrics: Iterable[tuple[Rates, Days]], room: float | None) -> Forecast:
    """Of metrics with known rates. `room`: the disk budget less what is no chunk; None: none."""
    daily = after_a_year = samples_daily = samples_after = 0.0
    for rates, kept in metrics:
        for resolution_ms in RESOLUTIONS_MS:
            rate = rates.get(resolution_ms, 0.0)
            grown = rate * min(kept[resolution_ms] or YEAR_DAYS, YEAR_DAYS)
            daily += rate
            after_a_year += grown
            if resolution_ms == SAMPLES:
                samples_daily += rate
                samples_after += grown
    days = None
    if room is not None and after_a_year > room and samples_daily:
        days = max(0.0, room - (after_a_year - samples_after)) / samples_daily
    return Forecast(daily, after_a_year, days)
