"""The admin: what staff can look after there, and what is kept out of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client

from dashboard.models import Dashboard, Panel, Share, SigninLink
from metrics import access, catalog, intake
from metrics.access import AccessDenied
from metrics.clock import now_ms
from metrics.models import Batch, Event, Metric, Receipt, Series, Source, Storage, Total
from metrics.samples import EventSample, Sample
from tests.admin_support import as_staff, text, url

pytestmark = pytest.mark.django_db

PREFIX = re.compile(r"pb_[A-Za-z0-9_-]{43}")
SHOWN = [Metric, Series, Storage, Source, Event, Dashboard, User]
KEPT_OUT = [Batch, Total, Receipt, SigninLink, Panel, Share]


@pytest.fixture(autouse=True)
def nothing_remembered(db: None) -> Iterator[None]:
    catalog.forget()
    access.forget()
    yield
    catalog.forget()
    access.forget()
    access.last_used.flush()


@pytest.fixture
def staff(client: Client) -> Client:
    return as_staff(client)


@pytest.fixture
def orders() -> Series:
    """A metric with two series, one measured just now."""
    at_ms = now_ms()
    intake.accept(
        [
            Sample("orders_total", 41.5, {"region": "eu"}, at_ms),
            Sample("orders_total", 7, {"region": "us"}, at_ms),
        ],
        now_ms=at_ms,
    )
    return Series.objects.get(labels__region="eu")


@pytest.mark.parametrize("model", KEPT_OUT)
def test_the_programs_own_rows_are_not_in_the_admin(model: type[Model]) -> None:
    assert not admin.site.is_registered(model)


def test_only_what_is_meant_to_be_looked_after_is_registered() -> None:
    ours = {
        model
        for label in ("metrics", "dashboard")
        for model in apps.get_app_config(label).get_models()
        if admin.site.is_registered(model)
    }
    assert ours == set(SHOWN) - {User}


@pytest.mark.parametrize("model", SHOWN)
def test_who_is_not_staff_is_kept_out(client: Client, model: type[Model]) -> None:
    page = url(model, "changelist")
    assert client.get(page)["Location"].startswith("/signin/?next=")
    client.force_login(User.objects.create_user("ada"))
    assert client.get(page, follow=True).status_code == 403


def test_the_admin_has_no_sign_in_of_its_own(client: Client) -> None:
    """There is one place where passwords are tried, and it counts attempts."""
    response = client.get("/admin/login/?next=/admin/metrics/source/")
    assert response["Location"] == "/signin/?next=/admin/metrics/source/"
    response = client.post("/admin/login/", {"username": "root", "password": "guess"})
    assert response.status_code == 405
    assert client.get("/admin/login/?next=//evil.example")["Location"] == "/signin/?next=/admin/"


@pytest.mark.parametrize("model", SHOWN)
@pytest.mark.parametrize("query", ["", "?q=eu", "?q=%00", "?q=%22%27%25_"])
def test_every_list_opens(staff: Client, orders: Series, model: type[Model], query: str) -> None:
    text(staff.get(url(model, "changelist") + query))


@pytest.mark.parametrize("model", [Metric, Series, Source, Event, Dashboard])
def test_every_row_opens(staff: Client, orders: Series, model: type[Model]) -> None:
    access.make_token("shop")
    Event.objects.create(time_ms=now_ms(), title="deployed", labels={"app": "shop"})
    Dashboard.objects.get_or_create(slug="mine", defaults={"title": "Mine"})
    for row in model._default_manager.all()[:3]:
        text(staff.get(url(model, "change", row.pk)))


@pytest.mark.parametrize(
    ("model", "page"),
    [
        (Metric, "add"), (Series, "add"), (Event, "add"), (Event, "delete"), (Storage, "add"),
        (Storage, "delete"),
    ],
)  # fmt: skip
def test_what_publishers_make_is_neither_added_nor_deleted(
    staff: Client, orders: Series, model: type[Model], page: str
) -> None:
    Event.objects.create(time_ms=now_ms(), title="deployed")
    Storage.objects.create(metric=orders.metric, measured_at_ms=now_ms())
    args = [] if page == "add" else [model._default_manager.latest("pk").pk]
    assert staff.get(url(model, page, *args)).status_code == 403
    assert staff.post(url(model, page, *args), {"post": "yes"}).status_code == 403
    assert model._default_manager.exists()


def test_the_list_of_metrics_counts_their_series_and_leads_to_them(
    staff: Client, orders: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metrics.admin.FILTER_METRICS", 0)  # too many to choose from a list
    content = text(staff.get(url(Metric, "changelist") + "?kind__exact=gauge"))
    assert "orders_total" in content
    link = re.search(r'<td class="field-series_count"><a href="([^"]+)">2</a></td>', content)
    assert link, content
    intake.accept([Sample("other", 1)], now_ms=now_ms())
    assert text(staff.get(link[1])).count('class="field-metric') == 2


def test_unit_and_help_of_a_metric_can_be_written_and_the_rest_cannot(
    staff: Client, orders: Series
) -> None:
    metric = orders.metric
    change = {"unit": "orders", "help": "Paid orders.", "name": "x", "kind": "counter"}
    assert staff.post(url(Metric, "change", metric.pk), change).status_code == 302
    metric.refresh_from_db()
    assert (metric.unit, metric.help) == ("orders", "Paid orders.")
    assert (metric.name, metric.kind) == ("orders_total", "gauge")


@pytest.mark.parametrize(("query", "found"), [("eu", 1), ("region", 2), ("orders", 2), ("mars", 0)])
def test_series_are_found_by_name_and_label(
    staff: Client, orders: Series, query: str, found: int
) -> None:
    content = text(staff.get(url(Series, "changelist"), {"q": query}))
    assert content.count('class="field-metric') == found


def test_the_list_of_series_shows_labels_and_newest_values(staff: Client, orders: Series) -> None:
    content = text(staff.get(url(Series, "changelist")))
    assert "region=&quot;eu&quot;" in content
    assert ">41.5<" in content
    page = text(staff.get(url(Series, "change", orders.pk)))
    assert "41.5" in page


def test_labels_are_text_in_the_admin(staff: Client) -> None:
    hostile = "<script>alert(1)</script>"
    intake.accept([Sample("x", 1, {"l": hostile})], now_ms=now_ms())
    intake.accept_events([EventSample(hostile, hostile, {"l": hostile})], now_ms=now_ms())
    for model in (Series, Event):
        row = model._default_manager.latest("pk")
        for page in (url(model, "changelist"), url(model, "change", row.pk)):
            assert "<script>alert" not in text(staff.get(page))


# Tokens


def made_token(staff: Client, name: str = "shop", scope: str = "publish") -> str:
    """Makes a token as staff does, and reads it off the page that shows it."""
    response = staff.post(url(Source, "add"), {"name": name, "scope": scope}, follow=True)
    shown = PREFIX.findall(text(response))
    assert len(shown) == 1
    token: str = shown[0]
    return token


def test_a_new_token_is_shown_once_and_works(staff: Client) -> None:
    plain = made_token(staff)
    source = Source.objects.get()
    assert access.source_for(f"Bearer {plain}", "publish", now_ms()) == source
    assert source.created_by == User.objects.get(username="root")
    for page in (url(Source, "changelist"), url(Source, "change", source.pk), "/admin/"):
        content = text(staff.get(page))
        assert plain not in content
        assert source.token_hash not in content


def test_a_name_that_is_taken_is_refused(staff: Client) -> None:
    made_token(staff)
    response = staff.post(url(Source, "add"), {"name": "shop", "scope": "publish"})
    assert "already exists" in text(response)
    assert not PREFIX.search(text(response))


def test_a_revoked_token_is_refused_at_once(staff: Client) -> None:
    plain = made_token(staff)
    access.source_for(f"Bearer {plain}", "publish", now_ms())
    action = {"action": "revoke", "_selected_action": [str(Source.objects.get().pk)]}
    assert "Revoked: 1" in text(staff.post(url(Source, "changelist"), action, follow=True))
    with pytest.raises(AccessDenied):
        access.source_for(f"Bearer {plain}", "publish", now_ms())


def test_a_token_keeps_its_secret_and_its_scope(staff: Client) -> None:
    plain = made_token(staff)
    source = Source.objects.get()
    change = {
        "name": "the shop", "scope": "read", "active": "on", "token_hash": "0" * 64,
        "prefix": "x", "expires_at_0": "2036-01-01", "expires_at_1": "00:00",
    }  # fmt: skip
    assert staff.post(url(Source, "change", source.pk), change).status_code == 302
    found = access.source_for(f"Bearer {plain}", "publish", now_ms())
    assert found.name == "the shop"
    assert found.expires_at is not None and found.expires_at.year == 2036


# The strict content security policy


@pytest.mark.parametrize("model", SHOWN)
def test_admin_pages_need_nothing_inline(staff: Client, orders: Series, model: type[Model]) -> None:
    row = model._default_manager.first()
    pages = ["/admin/", url(model, "changelist")]
    if row is not None:
        pages.append(url(model, "change", row.pk))
    if model in (Source, Dashboard, User):
        pages.append(url(model, "add"))
    for page in pages:
        content = text(staff.get(page))
        assert not re.search(r"<[^>]+\sstyle=", content), page
        assert not re.search(r"<[^>]+\son[a-z]+=", content), page
        assert "javascript:" not in content
        for script in re.findall(r"<script([^>]*)>", content):
            assert "src=" in script or "application/json" in script, page
        assert "<style" not in content
