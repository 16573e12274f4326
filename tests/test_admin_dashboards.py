"""Dashboards and their panels in the admin: made there, and refused when they cannot be drawn."""

from __future__ import annotations

import pytest
from django.test import Client

from dashboard.models import Dashboard, Panel
from tests.admin_support import as_staff, text, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    return as_staff(client)


def dashboard_form(**panel: object) -> dict[str, object]:
    """A new dashboard with one panel, as the form sends it."""
    fields: dict[str, object] = {
        "position": 0, "title": "Orders", "kind": "line", "expr": "up", "legend": "", "unit": "",
        "width": 6, "height": 3, "min": "", "max": "", "decimals": "", **panel,
    }  # fmt: skip
    return {
        "title": "Shop", "slug": "shop", "description": "", "position": 1,
        "panels-TOTAL_FORMS": 1, "panels-INITIAL_FORMS": 0,
        **{f"panels-0-{name}": value for name, value in fields.items()},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("panel", "reason"),
    [
        ({"expr": "rate(orders_total)"}, "rate"),
        ({"expr": "a + b"}, "+"),
        ({"expr": "sum("}, "errorlist"),
        ({"expr": ""}, "Expected an expression"),
        ({"min": 5, "max": 5}, "Expected more than the minimum"),
        ({"width": 13}, "less than or equal to 12"),
    ],
)
def test_a_panel_that_cannot_be_drawn_is_refused(
    staff: Client, panel: dict[str, object], reason: str
) -> None:
    content = text(staff.post(url(Dashboard, "add"), dashboard_form(**panel)))
    assert "errorlist" in content
    assert reason in content
    assert not Dashboard.objects.filter(slug="shop").exists()


def test_a_dashboard_is_made_with_its_panels(staff: Client) -> None:
    form = dashboard_form(expr=" sum by(region)( rate(orders_total[1m] ) )", unit="per_second")
    response = staff.post(url(Dashboard, "add"), form)
    assert response.status_code == 302, text(response)
    panel = Panel.objects.get(dashboard__slug="shop")
    assert panel.expr == "sum by (region) (rate(orders_total[1m]))"
    assert "Orders" in text(staff.get("/d/shop/"))


def test_an_event_list_needs_no_expression(staff: Client) -> None:
    response = staff.post(url(Dashboard, "add"), dashboard_form(kind="events", expr=""))
    assert response.status_code == 302
    assert Panel.objects.get(dashboard__slug="shop").kind == "events"
