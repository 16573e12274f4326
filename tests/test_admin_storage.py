"""The admin: what takes how much, how long it is kept, and deleting it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from metrics import catalog, deleting, sizes
from metrics.admin_storage import NO_BREAK, overview, words
from metrics.chunks import SAMPLES, WINDOW_MS, window_of
from metrics.clock import now_ms
from metrics.models import Chunk, DeletedSeries, Metric, Series
from tests.support.samples import accept, sample

pytestmark = pytest.mark.django_db

STORAGE = "/admin/metrics/storage/"
METRICS = "/admin/metrics/metric/"
SERIES = "/admin/metrics/series/"
WINDOW = WINDOW_MS[SAMPLES]


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def looker(client: Client) -> Client:
    """Staff who may look at everything here and change nothing."""
    user = User.objects.create_user("ada", is_staff=True)
    names = ["view_metric", "view_series", "view_storage"]
    user.user_permissions.add(*Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client


@pytest.fixture
def orders() -> Metric:
    """A metric of two series with a day of chunks of one sample a second, measured."""
    accept(sample("orders", 1, region="eu"), sample("orders", 2, region="us"))
    metric = Metric.objects.get()
    current_ms = window_of(now_ms(), SAMPLES)
    Chunk.objects.bulk_create(
        Chunk(
            series_id=series.pk,
            resolution_ms=SAMPLES,
            start_ms=current_ms - back * WINDOW,
            end_ms=current_ms - (back - 1) * WINDOW,
            count=7200,
            rolled=True,
            data=bytes(9_800),
        )
        for series in metric.series.all()
        for back in range(1, 14)
    )
    for _ in sizes.measuring(now_ms()):
        continue
    return metric


def text(response: Any) -> str:
    assert response.status_code == 200, response
    content: str = response.content.decode()
    return re.sub(r"\s+", " ", content)  # a space that does not break is one too


def change(metric: Metric, **days: object) -> dict[str, object]:
    return {"unit": "", "help": "", **{f"keep_{name}_days": value for name, value in days.items()}}


# Looking


def test_the_overview_opens_before_anything_was_measured(staff: Client) -> None:
    content = text(staff.get(STORAGE))
    assert "not yet: the background jobs do it" in content
    assert "Known after some hours of samples." in content


def test_the_overview_says_what_takes_how_much_and_where_that_leads(
    staff: Client, orders: Metric
) -> None:
    content = text(staff.get(STORAGE))
    assert ">orders</a>" in content
    assert "Samples</th><td>260.0 kB, kept 14 days" in content
    assert "Every hour</th><td>0 bytes, kept for ever" in content
    assert re.search(r'field-rate">2</td>', content)
    assert "none (setting DISK_BUDGET_MB)" in content
    assert re.search(
        r"A day adds [\d.]+ kB; at this rate chunks take [\d.]+ MB after a year", content
    )


def test_the_overview_says_how_many_days_fit_into_the_budget(
    staff: Client, orders: Metric, settings: Any
) -> None:
    settings.KEEP_RAW_DAYS = 0
    size, free = sizes.database_file_bytes()
    found = overview()
    assert found["days_of_samples"] is None
    settings.DISK_BUDGET_MB = (size - free) // 1_000_000 + 90
    days = overview()["days_of_samples"]
    assert days is not None and 50 < days < 365
    content = text(staff.get(STORAGE))
    assert re.search(r"You keep \d+ days of samples within the budget", content)
    settings.DISK_BUDGET_MB = 100_000
    assert "fits into the budget" in text(staff.get(STORAGE))


@pytest.mark.parametrize("order", range(10))
def test_the_overview_can_be_sorted_and_searched(staff: Client, orders: Metric, order: int) -> None:
    assert ">orders</a>" in text(staff.get(STORAGE, {"o": str(order), "q": "ord"}))
    assert ">orders</a>" not in text(staff.get(STORAGE, {"o": f"-{order}", "q": "paid"}))


def test_a_metrics_page_says_what_it_takes(staff: Client, orders: Metric) -> None:
    content = text(staff.get(f"{METRICS}{orders.pk}/change/"))
    assert (
        '<th scope="row">Samples</th><td>260.0 kB</td><td>240.0 kB</td><td>14 days</td>' in content
    )
    assert "2 samples/s." in content
    assert 'placeholder="365"' in content
    assert '<td class="field-stored">260.0 kB</td>' in text(staff.get(METRICS))


@pytest.mark.parametrize("page", [STORAGE, METRICS, SERIES])
def test_these_pages_need_nothing_inline(staff: Client, orders: Metric, page: str) -> None:
    series = Series.objects.order_by("pk")[0].pk
    row = {METRICS: orders.pk, SERIES: series}.get(page)
    pages = [page, *([f"{page}{row}/change/", f"{page}{row}/delete/"] if row else [])]
    for one in pages:
        content = text(staff.get(one))
        assert not re.search(r"<[^>]+\sstyle=|<[^>]+\son[a-z]+=|javascript:|<style", content), one


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2.34e9, "2.3 GB")]
)
def test_sizes_are_said_in_words(size: float, said: str) -> None:
    assert words(size).replace(NO_BREAK, " ") == said


# Keeping


def test_samples_cannot_be_kept_shorter_than_late_ones_need(staff: Client, orders: Metric) -> None:
    answer = text(staff.post(f"{METRICS}{orders.pk}/change/", change(orders, raw=3)))
    assert "Expected at least 7 days (setting LATE_DAYS)" in answer
    orders.refresh_from_db()
    assert orders.keep_raw_days is None


def test_days_kept_can_be_changed_and_given_back_to_the_settings(
    staff: Client, orders: Metric
) -> None:
    url = f"{METRICS}{orders.pk}/change/"
    days = {"raw": 8, "10s": 9, "1m": 0, "1h": ""}
    assert staff.post(url, change(orders, **days)).status_code == 302
    orders.refresh_from_db()
    assert (orders.keep_raw_days, orders.keep_10s_days) == (8, 9)
    assert (orders.keep_1m_days, orders.keep_1h_days) == (0, None)
    assert "<td>8 days</td>" in text(staff.get(url))
    assert staff.post(url, change(orders)).status_code == 302
    orders.refresh_from_db()
    assert orders.keep_raw_days is None


# Deleting


def test_who_may_only_look_deletes_nothing(looker: Client, orders: Metric) -> None:
    series = Series.objects.all()[0]
    for page in (f"{METRICS}{orders.pk}/", f"{SERIES}{series.pk}/"):
        assert "Delete" not in text(looker.get(f"{page}change/"))
        assert looker.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    action: dict[str, Any] = {"action": "delete_selected", "_selected_action": [orders.pk]}
    action["post"] = "yes"
    looker.post(METRICS, action)
    assert Series.objects.count() == 2


def test_a_metric_is_deleted_after_a_question(staff: Client, orders: Metric) -> None:
    url = f"{METRICS}{orders.pk}/delete/"
    question = text(staff.get(url))
    assert "orders, with all its series and samples" in question
    assert "Series: 2" in question
    answer = text(staff.post(url, {"post": "yes"}, follow=True))
    assert "deleted in the background" in answer
    assert not Metric.objects.exists() and not Series.objects.exists()
    assert catalog.by_name("orders") == ()
    assert sum(deleting.sweep(None, now_ms())) == 26
    assert LogEntry.objects.get().object_repr == "orders"


def test_a_series_is_deleted_after_a_question(staff: Client, orders: Metric) -> None:
    series = Series.objects.get(labels={"region": "eu"})
    url = f"{SERIES}{series.pk}/delete/"
    assert "orders{region=&quot;eu&quot;}, with all its samples" in text(staff.get(url))
    assert staff.post(url, {"post": "yes"}).status_code == 302
    assert [one.labels for one in Series.objects.all()] == [{"region": "us"}]
    assert Metric.objects.exists()


@pytest.mark.parametrize("page", [METRICS, SERIES])
def test_several_are_deleted_from_the_list(staff: Client, orders: Metric, page: str) -> None:
    accept(sample("paid"))
    chosen = [*orders.series.values_list("pk", flat=True)] if page == SERIES else [orders.pk]
    action: dict[str, Any] = {"action": "delete_selected", "_selected_action": chosen}
    assert "Series: 2" in text(staff.post(page, action))
    assert Series.objects.count() == 3
    text(staff.post(page, {**action, "post": "yes"}, follow=True))
    assert [one.metric.name for one in Series.objects.all()] == ["paid"]
    assert DeletedSeries.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_deletion_is_not_one_long_transaction(
    staff: Client, orders: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connection

    inside = []
    monkeypatch.setattr(
        deleting, "delete_metric", lambda name: inside.append(connection.in_atomic_block)
    )
    staff.post(reverse("admin:metrics_metric_delete", args=(orders.pk,)), {"post": "yes"})
    assert inside == [False]
