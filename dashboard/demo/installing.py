"""A demo's dashboards and metrics: brought once, and taken away whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from dashboard.demo import shop, ticker
from dashboard.demo.moment import PREFIX, Simulation
from dashboard.models import Dashboard, Panel
from metrics import catalog, deleting, vacuum
from metrics.catalog import Description
from metrics.clock import now_ms
from metrics.models import Event, Metric, Series

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, eq=False)
class Demo:
    """`name` is said on the command line, `title` in sentences."""

    name: str
    title: str
    descriptions: Mapping[str, Description]
    begin: Callable[[int | None], Simulation]

    @property
    def slug(self) -> str:
        """Of its dashboard."""
        return f"demo-{self.name}"


DEMOS = {
    demo.name: demo
    for demo in (
        Demo(ticker.NAME, ticker.TITLE, ticker.DESCRIPTIONS, ticker.Market),
        Demo(shop.NAME, shop.TITLE, shop.DESCRIPTIONS, shop.Shop),
    )
}


def content(demo: Demo) -> dict[str, Any]:
    """The dashboard as it comes."""
    found: dict[str, Any] = json.loads((FOLDER / f"{demo.name}.json").read_text(encoding="utf-8"))
    return found


def install(demo: Demo) -> bool:
    """Brings the metrics' descriptions and, with them, the dashboard; whether that is there now.

    Where the metrics are known already the dashboard came before, and is the admin's: changed or
    deleted, it stays so.
    """
    with transaction.atomic():
        known = _metrics(demo).exists()
        catalog.describe(demo.descriptions)
        there = Dashboard.objects.filter(slug=demo.slug).exists()
        if known or there:
            return there
        fields = content(demo)
        panels = fields.pop("panels")
        dashboard = Dashboard.objects.create(**fields)
        Panel.objects.bulk_create(
            Panel(dashboard=dashboard, position=position, **panel)
            for position, panel in enumerate(panels)
        )
    return True


def has_data(demo: Demo) -> bool:
    """Whether anything of it was ever published, and not removed since."""
    return Series.objects.filter(metric__name__in=demo.descriptions).exists()


@dataclass
class Found:
    """What is there of some demos."""

    dashboards: int
    metrics: int
    series: int
    events: int

    def __str__(self) -> str:
        return (
            f"{_several(self.dashboards, 'dashboard')}, {_several(self.metrics, 'metric')} with "
            f"{_several(self.series, 'series', 'series')}, {_several(self.events, 'event')}"
        )

    def __bool__(self) -> bool:
        return bool(self.dashboards or self.metrics or self.events)


def find(demos: Sequence[Demo]) -> Found:
    """What remove() would remove."""
    return Found(
        sum(_dashboards(demo).count() for demo in demos),
        sum(_metrics(demo).count() for demo in demos),
        sum(Series.objects.filter(metric__in=_metrics(demo)).count() for demo in demos),
        sum(_events(demo).count() for demo in demos),
    )


def remove(demos: Sequence[Demo]) -> None:
    """Deletes the dashboards, metrics with all that is stored of them, and events of these demos.

    By exact names: somebody's own demo_orders stays. Not to be called inside a transaction.
    """
    for demo in demos:
        _dashboards(demo).delete()
        _events(demo).delete()
        for name in demo.descriptions:
            deleting.delete_metric(name)
    for _ in deleting.sweep(None, now_ms()):
        continue
    for _ in vacuum.give_back(None, now_ms(), unused_s=0.0):
        continue


def _dashboards(demo: Demo) -> QuerySet[Dashboard]:
    return Dashboard.objects.filter(slug=demo.slug)


def _metrics(demo: Demo) -> QuerySet[Metric]:
    return Metric.objects.filter(name__in=demo.descriptions)


def _events(demo: Demo) -> QuerySet[Event]:
    return Event.objects.filter(title__startswith=PREFIX, labels__demo=demo.name)


def _several(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
