"""manage.py demo beside a store: its past, its dashboards, and that it goes without a trace."""

from __future__ import annotations

import io
import json
import re
import threading
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from dashboard.demo import installing, live
from dashboard.demo.installing import DEMOS, Demo
from dashboard.demo.live import Live
from dashboard.demo.past import Past, step_ms
from dashboard.models import Dashboard, Panel
from metrics import intake, notebook, publish
from metrics.clock import now_ms
from metrics.models import Chunk, Event, Metric, Series
from metrics.publisher import Publisher
from metrics.query import parse
from metrics.refused import Refused

MINUTE_MS = 60_000
CONTENT = {demo.slug: installing.content(demo) for demo in DEMOS.values()}
PANELS = [
    pytest.param(panel, id=f"{slug}: {panel['title']}")
    for slug, content in CONTENT.items()
    for panel in content["panels"]
]
each_demo = pytest.mark.parametrize("demo", DEMOS.values(), ids=DEMOS)
nobody_stops = threading.Event()


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("demo", *arguments, stdout=out)
    return out.getvalue()


def publish_a_past(demo: Demo, minutes: int = 5) -> Live:
    """Stores it, and returns what goes on from there."""
    installing.install(demo)
    simulation = demo.begin(7)
    past = Past(demo.name, simulation, minutes * MINUTE_MS, now_ms, print)
    past.reach_now(nobody_stops)
    past.end(nobody_stops)
    return Live({demo.name: simulation}, rate=2)


def of_demos() -> set[str]:
    """Every name of a metric that begins as the demos' do."""
    return set(Metric.objects.filter(name__startswith="demo_").values_list("name", flat=True))


# --- removing ----------------------------------------------------------------------------------


def test_nothing_is_removed_unless_somebody_is_sure(
    store: str, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_a_past(DEMOS["ticker"], minutes=1)
    with pytest.raises(CommandError, match=r"1 dashboard, 10 metrics with .* Say --yes to do it"):
        said("--remove")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    with pytest.raises(CommandError, match="Nothing was deleted"):
        said("--remove")
    assert installing.find([DEMOS["ticker"]]).dashboards == 1
    assert of_demos() == set(DEMOS["ticker"].descriptions)


def test_removing_takes_everything_of_a_demo_and_nothing_else(
    store: str, publisher: Publisher
) -> None:
    for demo in DEMOS.values():
        publish_a_past(demo, minutes=1)
    publish.gauge("demo_shop_floor", 3)  # somebody's own, however it is called
    publish.event("Demo for the board", demo="shop")
    publish.event("Demo: shop opens", shop="yes")
    own = Dashboard.objects.create(slug="demo-of-mine", title="Demo: shop")
    before = set(Dashboard.objects.values_list("slug", flat=True))
    assert publish.flush()

    assert re.fullmatch(
        r"Deleted: 1 dashboard, 13 metrics with \d+ series, \d+ events?\.\n",
        said("shop", "--remove", "--yes"),
    )
    assert of_demos() == {"demo_shop_floor", *DEMOS["ticker"].descriptions}
    assert before - set(Dashboard.objects.values_list("slug", flat=True)) == {"demo-shop"}
    assert Event.objects.filter(labels__demo="ticker").exists()

    said("--remove", "--yes")
    assert of_demos() == {"demo_shop_floor"}
    assert list(Series.objects.values_list("metric__name", flat=True)) == ["demo_shop_floor"]
    assert {*Event.objects.values_list("title", flat=True)} == {
        "Demo for the board", "Demo: shop opens",
    }  # fmt: skip
    assert Dashboard.objects.filter(pk=own.pk).exists()
    assert not Chunk.objects.exists()
    assert said("--remove") == "Nothing of the demo is here.\n"


def test_after_removing_it_begins_anew(store: str, publisher: Publisher) -> None:
    demo = DEMOS["ticker"]
    for _ in range(2):
        assert installing.install(demo)
        assert not installing.has_data(demo)
        publish_a_past(demo, minutes=1)
        assert installing.has_data(demo)
        said("--remove", "--yes")


# --- the dashboards ----------------------------------------------------------------------------


def test_dashboards_come_once_and_are_the_admins_from_then_on(store: str) -> None:
    ticker, shop = DEMOS["ticker"], DEMOS["shop"]
    assert installing.install(ticker)
    assert installing.install(shop)
    Dashboard.objects.filter(slug=ticker.slug).update(title="Prices")
    Panel.objects.filter(dashboard__slug=ticker.slug, kind="table").delete()
    Dashboard.objects.filter(slug=shop.slug).delete()
    Metric.objects.filter(name="demo_ticker_price").update(help="Ours.")

    assert installing.install(ticker)
    assert not installing.install(shop)
    changed = Dashboard.objects.get(slug=ticker.slug)
    assert changed.title == "Prices"
    assert changed.panels.count() == len(CONTENT[ticker.slug]["panels"]) - 1
    assert Metric.objects.get(name="demo_ticker_price").help == "Ours."
    assert not Dashboard.objects.filter(slug=shop.slug).exists()


@pytest.mark.parametrize("slug", CONTENT)
def test_a_dashboard_says_what_it_is_and_could_have_been_saved_in_the_admin(slug: str) -> None:
    texts = {name: value for name, value in CONTENT[slug].items() if name != "panels"}
    Dashboard(**texts).clean_fields()
    assert texts["slug"] == slug
    assert texts["title"].startswith("Demo: ")
    assert texts["description"].startswith("Made-up numbers")
    assert "manage.py demo --remove" in texts["description"]


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_could_have_been_saved_in_the_admin(panel: dict[str, Any]) -> None:
    Panel(**panel).clean_fields(exclude=["dashboard"])
    if panel["expr"]:
        assert json.dumps(parse(panel["expr"]).text) == json.dumps(panel["expr"])


@pytest.mark.parametrize("slug", CONTENT)
def test_rows_of_panels_are_full_and_of_one_height(slug: str) -> None:
    row: list[dict[str, Any]] = []
    for panel in CONTENT[slug]["panels"]:
        row.append(panel)
        if sum(one["width"] for one in row) >= 12:
            assert sum(one["width"] for one in row) == 12, panel["title"]
            assert len({one["height"] for one in row}) == 1, panel["title"]
            row = []
    assert not row


# --- the past ----------------------------------------------------------------------------------


def test_a_long_past_is_coarser() -> None:
    assert step_ms(5 * MINUTE_MS) == 1000
    assert step_ms(6 * 60 * MINUTE_MS) == 5000
    assert step_ms(24 * 60 * MINUTE_MS) == 20_000


@each_demo
def test_after_a_past_was_published_every_panel_has_something_to_draw(
    store: str, publisher: Publisher, demo: Demo
) -> None:
    publish_a_past(demo)
    assert publish.flush()
    for panel in CONTENT[demo.slug]["panels"]:
        if panel["kind"] == "events":
            assert panel["expr"] == ""
            continue
        lines = notebook.read(panel["expr"], "-4m", step="10s").values()
        assert lines, panel["title"]
        for line in lines:
            assert np.isfinite(line.values).sum() >= 10, panel["title"]
            for label in re.findall(r"{{(\w+)}}", panel["legend"]):
                assert line.labels[label], panel["title"]


@each_demo
def test_live_counters_go_on_where_the_past_ends(
    store: str, publisher: Publisher, demo: Demo
) -> None:
    going_on = publish_a_past(demo, minutes=2)
    assert publish.flush()
    series = set(Series.objects.values_list("id", flat=True))
    for _ in range(20):
        going_on.step()
    assert publish.flush()
    assert publish.dropped() == 0
    assert set(Series.objects.values_list("id", flat=True)) == series
    for name, said_of_it in demo.descriptions.items():
        if said_of_it.kind != "gauge":
            for line in notebook.read(name, "-10m").values():
                assert len(line.values) > 20, line.name
                assert (np.diff(line.values) >= 0).all(), line.name
    assert Event.objects.filter(title__startswith="Demo: ", labels__demo=demo.name).count() >= 1


def test_a_past_is_published_only_where_there_is_none(
    store: str, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Live, "run", lambda self, stop, after_step: self.step())
    assert "The market ticker has a past of" in said("ticker", "--history", "2m")
    before = len(notebook.read("demo_ticker_index", "-1h")["demo_ticker_index"].values)
    told = said("ticker", "--history", "30m")
    assert "The market ticker has data already: its past stays as it is." in told
    after = len(notebook.read("demo_ticker_index", "-1h")["demo_ticker_index"].values)
    assert after == before + 1


# --- while the database cannot be reached ------------------------------------------------------


class Busy:
    """Refuses so many times, as a database does that cannot be reached, and then stores."""

    def __init__(self, times: int, store: Any) -> None:
        self.left = times
        self._store = store

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self.left:
            self.left -= 1
            raise Refused(503, "", "the database is not available")
        return self._store(*args, **options)


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.demo.past.AGAIN_S", 0.0)


def test_a_past_waits_until_it_is_stored(
    store: str, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, no_waits: None
) -> None:
    busy = Busy(3, publish.record)
    monkeypatch.setattr(publish, "record", busy)
    told: list[str] = []
    demo = DEMOS["ticker"]
    past = Past(demo.name, demo.begin(7), MINUTE_MS, now_ms, told.append)
    past.reach_now(nobody_stops)
    assert busy.left == 0
    assert past.stored >= 60 * 40
    assert told == ["The past is not stored yet: the database is not available"]


def test_whoever_waits_can_stop(
    store: str, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    monkeypatch.setattr(publish, "record", Busy(1_000_000, publish.record))
    demo = DEMOS["ticker"]
    past = Past(demo.name, demo.begin(7), MINUTE_MS, now_ms, lambda sentence: stop.set())
    past.reach_now(stop)
    past.end(stop)
    assert past.stored == 0


def test_an_event_that_cannot_be_stored_now_is_stored_later_and_once(
    store: str, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "accept_events", Busy(2, intake.accept_events))
    going_on = Live({"ticker": DEMOS["ticker"].begin(7)}, rate=10)
    for _ in range(3):
        going_on.step()
    assert Event.objects.filter(title="Demo: market opens").count() == 1


def test_each_step_hands_over_what_the_moment_says(publisher: Publisher, store: str) -> None:
    demo = DEMOS["shop"]
    installing.install(demo)
    moment = demo.begin(7).step(10.0)
    assert moment.observations
    count = live.publish_moment(moment)
    assert publish.flush()
    assert count == (
        len(moment.gauges) + len(moment.increments)
        + sum(len(one.increments()) for one in moment.observations)
    )  # fmt: skip
    labels = {
        (name, *sorted(held.items()))
        for name, held in Series.objects.values_list("metric__name", "labels")
    }
    expected = {
        (point.name, *sorted(point.labels.items()))
        for one in moment.observations
        for point in one.increments()
    }
    assert expected <= labels, "buckets are called as publish.observe() calls them"
