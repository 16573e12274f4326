"""The guard against too many series: new ones are refused, existing ones go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from django.conf import settings
from django.db.models import Count

from metrics.models import Metric, Series
from metrics.refused import Refused
from metrics.rows import Key

NAMES_PER_QUERY = 1000
CULPRIT_SERIES = 1000  # so many are looked at to find the label that makes them so many


def guard(absent: Mapping[Key, int]) -> None:
    """Raises Refused(429) when making these series would pass a limit.

    `absent` maps each to the index of its first sample, which an error names.
    """
    new: dict[str, list[Key]] = {}
    for key in absent:
        new.setdefault(key[0], []).append(key)
    total = Series.objects.count() + len(absent)
    if total > settings.SERIES:
        raise Refused(
            429,
            f"samples[{min(absent.values())}]",
            f"would be series number {total:,}: this Pulseboard keeps at most "
            f"{settings.SERIES:,} (setting SERIES)",
        )
    have = _series_of(list(new))
    for name, keys in new.items():
        count = have.get(name, 0) + len(keys)
        if count > settings.SERIES_PER_METRIC:
            raise Refused(
                429,
                f"samples[{absent[keys[0]]}].labels",
                f"{name} would have {count:,} series: at most {settings.SERIES_PER_METRIC:,} are "
                f"kept of one metric (setting SERIES_PER_METRIC){_culprit(name, keys)}",
            )


def _series_of(names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(names), NAMES_PER_QUERY):
        rows = Metric.objects.filter(name__in=names[start : start + NAMES_PER_QUERY])
        found.update(rows.order_by().annotate(have=Count("series")).values_list("name", "have"))
    return found


def _culprit(name: str, keys: Sequence[Key]) -> str:
    """The label that makes the series so many, in words."""
    values: dict[str, set[str]] = {}
    sample = Series.objects.filter(metric__name=name).order_by("-id")[:CULPRIT_SERIES]
    for labels in [*(series.labels for series in sample), *(dict(key[1]) for key in keys)]:
        for label, value in labels.items():
            values.setdefault(label, set()).add(value)
    if not values:
        return ""
    label, count = Counter({label: len(found) for label, found in values.items()}).most_common(1)[0]
    return f"; the label {label} alone has {count:,} or more values"
