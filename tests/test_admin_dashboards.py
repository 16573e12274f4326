"""Dashboards and their panels in the admin: made there, and refused when they cannot be drawn."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from dashboard.models import Dashboard, Panel, Share
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
        "shares-TOTAL_FORMS": 0, "shares-INITIAL_FORMS": 0,
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


def shared_with(*shares: dict[str, object]) -> dict[str, object]:
    """A new dashboard, shared."""
    fields = {
        f"shares-{number}-{name}": value
        for number, share in enumerate(shares)
        for name, value in share.items()
    }
    return {**dashboard_form(), "shares-TOTAL_FORMS": len(shares), **fields}


def test_a_share_is_with_a_group_or_a_person_once(staff: Client) -> None:
    team, ann = Group.objects.create(name="team"), User.objects.create_user("ann")
    with_team: dict[str, object] = {"group": team.pk}
    with_ann: dict[str, object] = {"user": ann.pk}
    for shares, reason in [
        ([{**with_team, **with_ann}], "Expected a group or a person, one of the two."),
        ([with_team, with_team], "Please correct the duplicate data"),
        ([with_ann, with_team, with_ann], "Please correct the duplicate data"),
    ]:
        assert reason in text(staff.post(url(Dashboard, "add"), shared_with(*shares)))
    assert not Dashboard.objects.filter(slug="shop").exists()


def test_a_dashboard_is_shared_where_it_is_made(staff: Client, settings: Any) -> None:
    settings.READ_ALL = False
    team, ann = Group.objects.create(name="team"), User.objects.create_user("ann")
    form = shared_with({"group": team.pk}, {"user": ann.pk})
    assert staff.post(url(Dashboard, "add"), form).status_code == 302
    assert "team (group), ann" in text(staff.get(url(Dashboard, "changelist")))
    reader = Client()
    reader.force_login(ann)
    assert "Orders" in text(reader.get("/d/shop/"))
    form["slug"] = "again"
    staff.post(url(Dashboard, "add"), form)
    change = url(Dashboard, "change", Dashboard.objects.get(slug="shop").pk)
    twice = {
        **form, "slug": "shop", "shares-TOTAL_FORMS": 1, "panels-TOTAL_FORMS": 0,
        "shares-0-user": ann.pk, "shares-0-group": "",
    }  # fmt: skip
    assert "It is shared with them already" in text(staff.post(change, twice))


@pytest.mark.parametrize(
    ("read_all", "sentence"),
    [
        (True, "Everybody with an account sees every dashboard."),
        (False, "Whom it is shared with below, and everybody with the permission"),
    ],
)
def test_the_page_says_who_sees_a_dashboard(
    staff: Client, settings: Any, read_all: bool, sentence: str
) -> None:
    settings.READ_ALL = read_all
    assert sentence in text(staff.get(url(Dashboard, "add")))
    listed = text(staff.get(url(Dashboard, "changelist")))
    assert ('shared_with">everybody<' in listed) is read_all


def test_who_may_not_share_is_not_offered_to(client: Client) -> None:
    ann = User.objects.create_user("ann", is_staff=True)
    ann.user_permissions.set(Permission.objects.filter(codename__endswith="_dashboard"))
    client.force_login(ann)
    assert "shares-0" not in text(client.get(url(Dashboard, "add")))
    client.post(url(Dashboard, "add"), shared_with({"user": ann.pk}))
    assert not Share.objects.exists()
