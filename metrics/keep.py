"""How long each resolution is kept: by the settings, and by a metric's own rules.

A chunk goes when all of it is older than that. Samples stay at least LATE_DAYS, whatever else is
said: so far back a late or corrected sample is put right in the rollups too, for which all
samples around it are needed (docs/decisions/0005).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet

from metrics.chunks import RESOLUTIONS_MS, SAMPLES
from metrics.models import Metric, Series

DAY_MS = 86_400_000
SHORT_NAMES = dict(zip(RESOLUTIONS_MS, ("raw", "10s", "1m", "1h"), strict=True))
FIELDS = {resolution_ms: f"keep_{name}_days" for resolution_ms, name in SHORT_NAMES.items()}
SETTINGS = {resolution_ms: field.upper() for resolution_ms, field in FIELDS.items()}


@dataclass(frozen=True, slots=True)
class Rule:
    """Chunks of this resolution that ended by `until_ms` have expired, of some metrics.

    `own_days`: of the metrics that say so many days; None: of those that say nothing. Where no
    metric says anything `of_all` is true.
    """

    resolution_ms: int
    until_ms: int
    own_days: int | None = None
    of_all: bool = False

    def series(self) -> QuerySet[Series]:
        """The series whose chunks it is about."""
        field = f"metric__{FIELDS[self.resolution_ms]}"
        if self.own_days is None:
            return Series.objects.filter(**{f"{field}__isnull": True})
        return Series.objects.filter(**{field: self.own_days})


def default_days(resolution_ms: int) -> int:
    """The setting's days; 0: for ever."""
    days: int = getattr(settings, SETTINGS[resolution_ms])
    return days


def days(resolution_ms: int, own_days: int | None) -> int:
    """So long chunks are kept of a metric whose own rule is `own_days`; 0: for ever."""
    wanted = default_days(resolution_ms) if own_days is None else own_days
    if resolution_ms == SAMPLES and wanted:
        return max(wanted, settings.LATE_DAYS)
    return wanted


def own_rules() -> Mapping[int, list[int]]:
    """By resolution, the different days that metrics say themselves."""
    found: dict[int, list[int]] = {}
    for resolution_ms, field in FIELDS.items():
        rows = Metric.objects.filter(**{f"{field}__isnull": False}).order_by()
        found[resolution_ms] = sorted(rows.values_list(field, flat=True).distinct())
    return found


def rules(own: Mapping[int, list[int]], now_ms: int) -> list[Rule]:
    """What expires when; finest resolution first."""
    found = []
    for resolution_ms in RESOLUTIONS_MS:
        said: list[int | None] = [None, *own[resolution_ms]]
        for own_days in said:
            kept = days(resolution_ms, own_days)
            if kept:
                until_ms = now_ms - kept * DAY_MS
                found.append(Rule(resolution_ms, until_ms, own_days, of_all=len(said) == 1))
    return found
