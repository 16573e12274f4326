"""What pages hand to the browser as `page`: titles, panels, where the socket is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest

from dashboard import sharing, tabs
from dashboard.models import Panel
from metrics import access
from metrics.models import Metric

LIVE_PATH = "/live/"
DEFAULT_RANGE_MS = 300_000

# What a unit becomes when a counter of it is looked at per second.
UNIT_PER_SECOND = {
    Panel.Unit.BYTES: Panel.Unit.BYTES_PER_SECOND,
    Panel.Unit.SECONDS: Panel.Unit.NUMBER,  # seconds per second: how many at once
}


def page(request: HttpRequest, title: str, panels: Iterable[Panel] = ()) -> dict[str, Any]:
    """The `page` object that templates emit as JSON."""
    user = request.user
    return {
        "live_path": LIVE_PATH,
        "live_tabs": tabs.group_of(request),
        "title": title,
        "needs_password": isinstance(user, User) and not user.has_usable_password(),
        "default_range_ms": DEFAULT_RANGE_MS,
        "may_annotate": access.may_annotate(user),
        "panels": [panel_json(panel) for panel in panels],
    }


def rights(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `sees_only_shared`, which asks the database only where it is used."""
    user = getattr(request, "user", None)
    return {"sees_only_shared": lambda: user is not None and sharing.sees_only_shared(user)}


def panel_json(panel: Panel) -> dict[str, Any]:
    """One panel, as the browser draws it."""
    return {
        "id": panel.pk,
        "title": panel.title,
        "kind": panel.kind,
        "expr": panel.expr,
        "legend": panel.legend,
        "unit": panel.unit,
        "width": panel.width,
        "height": panel.height,
        "min": panel.min,
        "max": panel.max,
        "decimals": panel.decimals,
        "stacked": panel.stacked,
    }


def metric_panels(metric: Metric) -> list[Panel]:
    """Panels that draw one metric sensibly; they are not stored.

    A gauge as it is; a counter per second and as the total it is; a histogram's buckets as
    observations per second by upper bound.
    """
    name, unit = metric.name, _unit(metric.unit)
    if metric.kind == Metric.Kind.HISTOGRAM:
        family = name.removesuffix("_bucket")
        panels = [
            _rate(f"{family}_count", "Observations per second", Panel.Unit.PER_SECOND),
            _buckets(f"{family}_bucket"),
            _rate(f"{family}_sum", "Sum of the values, per second", _per_second(unit)),
        ]
    elif metric.kind == Metric.Kind.COUNTER:
        panels = [_rate(name, "Per second", _per_second(unit))]
        if name.endswith("_bucket"):
            panels.append(_buckets(name))
        panels.append(_panel("Total", Panel.Kind.LINE, name, unit))
    else:
        panels = [_panel(name, Panel.Kind.LINE, name, unit, height=5)]
    for number, panel in enumerate(panels, start=1):
        panel.pk = number
    return panels


def _panel(title: str, kind: Panel.Kind, expr: str, unit: str, height: int = 4) -> Panel:
    return Panel(title=title, kind=kind, expr=expr, unit=unit, width=12, height=height)


def _rate(name: str, title: str, unit: str) -> Panel:
    return _panel(title, Panel.Kind.LINE, f"rate({name}[1m])", unit)


def _buckets(name: str) -> Panel:
    panel = _panel(
        "Per second, at or below each bound",
        Panel.Kind.LINE,
        f"sum by (le) (rate({name}[1m]))",
        Panel.Unit.PER_SECOND,
    )
    panel.legend = "{{le}}"
    return panel


def _unit(unit: str) -> str:
    return unit if unit in Panel.Unit.values else Panel.Unit.NUMBER.value


def _per_second(unit: str) -> str:
    return UNIT_PER_SECOND.get(Panel.Unit(unit), Panel.Unit.PER_SECOND).value
