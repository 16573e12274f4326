"""The pages: who may open them, and what they hand to the browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from dashboard.models import Dashboard, Panel
from metrics.models import Metric

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
OPEN_NAMES = {
    "signin",
    "signin-link",
    "healthz",
    "readyz",
    "api-samples",
    "api-events",
    "api-export",
}
ARGUMENTS = {
    "dashboard": ["this-machine"],
    "metric": ["up"],
    "signin-link": ["secret"],
}


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password=PASSWORD)


@pytest.fixture
def signed_in(client: Client, ada: User) -> Client:
    client.force_login(ada)
    return client


@pytest.fixture
def dashboard() -> Dashboard:
    Dashboard.objects.filter(slug="this-machine").delete()  # the one it comes with
    made = Dashboard.objects.create(slug="this-machine", title="This machine")
    Panel.objects.create(dashboard=made, title="Load", expr="node_load1", width=4, decimals=2)
    return made


def own_names(patterns: list[Any] | None = None) -> Iterator[str]:
    """Every URL name of ours (the admin guards its own)."""
    for found in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(found, URLResolver) and found.namespace != "admin":
            yield from own_names(found.url_patterns)
        elif isinstance(found, URLPattern) and found.name:
            yield found.name


NAMES = sorted(own_names())


def page_of(response: Any) -> dict[str, Any]:
    """What a page hands to its scripts."""
    found = re.search(
        r'<script id="page" type="application/json">(.*?)</script>', response.content.decode()
    )
    assert found, response.content
    page: dict[str, Any] = json.loads(found[1])
    return page


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OPEN_NAMES])
@pytest.mark.parametrize("method", ["get", "post"])
def test_who_is_not_signed_in_is_sent_to_the_sign_in(
    client: Client, name: str, method: str, dashboard: Dashboard
) -> None:
    response = getattr(client, method)(reverse(name, args=ARGUMENTS.get(name)))
    assert response.status_code == 302
    assert response["Location"].startswith("/signin/?next=")


def test_the_names_others_rely_on_are_there() -> None:
    assert set(NAMES) >= {"dashboards", "dashboard", "metrics", "metric", "signout", "password"}
    assert set(NAMES) >= OPEN_NAMES


def test_a_disabled_account_is_signed_out(signed_in: Client, ada: User) -> None:
    ada.is_active = False
    ada.save()
    assert signed_in.get("/").status_code == 302


@pytest.mark.parametrize("path", ["/d/nowhere/", "/metrics/nothing/", "/metrics/a%00b/", "/nope"])
def test_what_does_not_exist_is_a_404_page(signed_in: Client, path: str) -> None:
    assert signed_in.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/metrics/", "/d/this-machine/"])
def test_pages_are_only_read(signed_in: Client, dashboard: Dashboard, path: str) -> None:
    assert signed_in.post(path).status_code == 405


def test_the_list_of_dashboards_shows_each(signed_in: Client, dashboard: Dashboard) -> None:
    content = signed_in.get("/").content.decode()
    assert "This machine" in content
    assert "/d/this-machine/" in content


def test_a_dashboard_hands_its_panels_to_the_browser(
    signed_in: Client, dashboard: Dashboard
) -> None:
    page = page_of(signed_in.get("/d/this-machine/"))
    panel = dashboard.panels.get()
    assert page == {
        "live_path": "/live/",
        "live_tabs": page["live_tabs"],
        "title": "This machine",
        "needs_password": False,
        "default_range_ms": 300_000,
        "may_annotate": False,
        "panels": [
            {
                "id": panel.pk, "title": "Load", "kind": "line", "expr": "node_load1",
                "legend": "", "unit": "", "width": 4, "height": 3, "min": None, "max": None,
                "decimals": 2, "stacked": False,
            }
        ],
    }  # fmt: skip


def test_text_of_a_dashboard_is_never_markup(signed_in: Client) -> None:
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    made = Dashboard.objects.create(slug="x", title=hostile, description=hostile)
    Panel.objects.create(dashboard=made, title=hostile, expr="up", legend=hostile)
    response = signed_in.get("/d/x/")
    content = response.content.decode()
    assert "<script>alert" not in content
    assert "<img src=x" not in content
    assert page_of(response)["panels"][0]["title"] == hostile


@pytest.mark.parametrize(
    ("name", "kind", "unit", "expected"),
    [
        ("load", "gauge", "", [("load", "")]),
        ("free_bytes", "gauge", "bytes", [("free_bytes", "bytes")]),
        ("odd", "gauge", "furlongs", [("odd", "")]),
        (
            "sent_bytes_total",
            "counter",
            "bytes",
            [("rate(sent_bytes_total[1m])", "bytes_per_second"), ("sent_bytes_total", "bytes")],
        ),
        (
            "took_bucket",
            "counter",
            "",
            [
                ("rate(took_bucket[1m])", "per_second"),
                ("sum by (le) (rate(took_bucket[1m]))", "per_second"),
                ("took_bucket", ""),
            ],
        ),
        (
            "took",
            "histogram",
            "seconds",
            [
                ("rate(took_count[1m])", "per_second"),
                ("sum by (le) (rate(took_bucket[1m]))", "per_second"),
                ("rate(took_sum[1m])", ""),
            ],
        ),
    ],
)
def test_a_metric_is_drawn_as_its_kind_asks(
    signed_in: Client, name: str, kind: str, unit: str, expected: list[tuple[str, str]]
) -> None:
    from metrics import query

    Metric.objects.create(name=name, kind=kind, unit=unit)
    page = page_of(signed_in.get(f"/metrics/{name}/"))
    panels = page["panels"]
    assert [(panel["expr"], panel["unit"]) for panel in panels] == expected
    assert all(query.parse(panel["expr"]) for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_a_plain_get_of_the_socket_says_what_it_is(signed_in: Client) -> None:
    response = signed_in.get("/live/")
    assert response.status_code == 426
    assert "pulseboard.v1.json" in response.content.decode()
