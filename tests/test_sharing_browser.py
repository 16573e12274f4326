"""A dashboard is shared in the admin, looked at, and taken away again, in a real browser."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.conftest import PAGE_TIMEOUT_MS
from tests.support.product import Product

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.support.traffic import Traffic

PREPARE = """
from django.contrib.auth.models import Group, User
from dashboard.models import Dashboard, Panel
User.objects.create_superuser("root", password={password!r})
ann = User.objects.create_user("ann", password={password!r})
ann.groups.add(Group.objects.create(name="Sales"))
shop = Dashboard.objects.create(slug="shop", title="Shop")
Panel.objects.create(dashboard=shop, title="Load", expr="node_load1")
"""
UNSHARE = "from dashboard.models import Share; Share.objects.all().delete()"


def sign_in(page: Page, server: Product, name: str, password: str) -> None:
    page.context.clear_cookies()
    page.goto(f"{server.base_url}/signin/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Dashboards", exact=True).wait_for()


def test_an_admin_shares_a_dashboard_and_takes_it_away(
    new_server: Callable[..., Product], page: Page, traffic: Traffic
) -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=PAGE_TIMEOUT_MS)
    server, password = new_server({"READ_ALL": "0"}), secrets.token_hex()
    server.manage("shell", "--no-imports", "-c", PREPARE.format(password=password))

    sign_in(page, server, "ann", password)
    expect(page.get_by_text("No dashboard is shared with you yet")).to_be_visible()
    expect(page.get_by_role("link", name="Metrics")).to_have_count(0)

    sign_in(page, server, "root", password)
    page.goto(f"{server.base_url}/admin/dashboard/dashboard/")
    page.get_by_role("link", name="Shop").click()
    page.get_by_text("Add another Group or person").click()
    page.locator("#shares-0 .select2-selection").first.click()
    page.get_by_role("option", name="Sales").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("row", name="Shop")).to_contain_text("Sales (group)")

    sign_in(page, server, "ann", password)
    page.get_by_role("link", name="Shop").click()
    panel = page.get_by_role("region", name="Load")
    expect(panel).to_have_attribute("data-state", "ready")
    server.manage("shell", "--no-imports", "-c", UNSHARE)
    expect(panel).to_have_attribute("data-state", "error")
    expect(panel).to_contain_text("You may not see this")
    expect(page.locator("#status")).to_contain_text("Live")
