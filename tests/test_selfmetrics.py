"""Pulseboard's own numbers, and the two dashboards that come with it."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from dashboard import selfmetrics
from dashboard.models import Dashboard, Panel
from dashboard.selfmetrics import own_samples, process_samples
from metrics import collector
from metrics.models import Event, Metric
from metrics.names import check_labels, check_metric
from metrics.query import parse
from metrics.samples import Sample
from metrics.stats import WINDOW_OBSERVATIONS, WINDOW_S, Snapshot, Stats
from tests.support.waiting import aeventually

NOON_MS = 1_790_000_000_000
BUILTIN = Path(selfmetrics.__file__).parent / "builtin"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in BUILTIN.glob("*.json")}
PANELS = [
    pytest.param(panel, id=f"{slug}: {panel['title']}")
    for slug, dashboard in sorted(DASHBOARDS.items())
    for panel in dashboard["panels"]
]


class Clock:
    """Seconds, moved by hand."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


# --- counting --------------------------------------------------------------------------------


def test_a_gauge_that_cannot_be_asked_is_left_out_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stats = Stats()
    stats.set("watches", 2)
    stats.register_gauge("head_samples", lambda: 1 / 0)
    for _ in range(2):
        assert stats.snapshot().gauges == {"watches": 2}
    assert len(caplog.records) == 1
    assert "head_samples could not be asked" in caplog.text


def test_a_gauge_may_have_no_value_now() -> None:
    stats = Stats()
    stats.register_gauge("log_bytes", lambda: None)
    assert stats.snapshot().gauges == {}


def test_a_gauge_that_was_unregistered_is_forgotten() -> None:
    stats = Stats()
    stats.register_gauge("head_samples", lambda: 5)
    assert stats.snapshot().gauges == {"head_samples": 5}
    stats.unregister_gauge("head_samples")
    stats.unregister_gauge("never_known")
    assert stats.snapshot().gauges == {}


def test_increments_from_many_threads_all_count() -> None:
    stats = Stats()

    def work() -> None:
        for _ in range(5000):
            stats.inc("frames_sent_total", 2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stats.snapshot().counters == {"frames_sent_total": 40_000}


def test_quantiles_are_those_of_the_last_seconds() -> None:
    clock = Clock()
    stats = Stats(clock)
    stats.observe("commit_seconds", 9.0)
    clock.now_s += WINDOW_S + 1
    for milliseconds in range(100, 0, -1):
        stats.observe("commit_seconds", milliseconds / 1000)
    snapshot = stats.snapshot()
    assert snapshot.quantile("commit_seconds", 0.5) == 0.050
    assert snapshot.quantile("commit_seconds", 0.99) == 0.099
    assert snapshot.quantile("commit_seconds", 1) == 0.100
    clock.now_s += WINDOW_S + 1
    assert stats.snapshot().quantile("commit_seconds", 0.5) is None


def test_observations_are_bounded() -> None:
    stats = Stats(Clock())
    for number in range(WINDOW_OBSERVATIONS + 100):
        stats.observe("commit_seconds", number)
    window = stats.snapshot().windows["commit_seconds"]
    assert (len(window), window[0]) == (WINDOW_OBSERVATIONS, (100, 1))


def test_an_observation_of_many_counts_as_many() -> None:
    stats = Stats(Clock())
    stats.observe("publish_to_frame_seconds", 0.002, times=99)
    stats.observe("publish_to_frame_seconds", 0.009)
    snapshot = stats.snapshot()
    assert snapshot.quantile("publish_to_frame_seconds", 0.5) == 0.002
    assert snapshot.quantile("publish_to_frame_seconds", 0.99) == 0.002
    assert snapshot.quantile("publish_to_frame_seconds", 1) == 0.009


# --- publishing ------------------------------------------------------------------------------


def by_name(samples: list[Sample]) -> dict[tuple[str, str], float]:
    return {(s.metric, s.labels.get("quantile", "")): s.value for s in samples}


def test_before_anything_happened_counters_are_0_and_durations_absent() -> None:
    samples = own_samples(Snapshot({}, {}, {}), NOON_MS)
    assert set(by_name(samples).values()) == {0}
    assert {sample.kind for sample in samples} == {"counter"}
    assert "pulseboard_dropped_samples_total" in {sample.metric for sample in samples}


def test_a_snapshot_becomes_samples_of_that_moment() -> None:
    snapshot = Snapshot(
        counters={"samples_total": 12},
        gauges={"connections": 3, "log_bytes": float("nan")},
        windows={"commit_seconds": [(0.001, 1), (0.002, 1), (0.009, 1)]},
    )
    samples = own_samples(snapshot, NOON_MS)
    values = by_name(samples)
    assert values["pulseboard_samples_total", ""] == 12
    assert values["pulseboard_connections", ""] == 3
    assert values["pulseboard_commit_seconds", "0.5"] == 0.002
    assert values["pulseboard_commit_seconds", "0.99"] == 0.009
    assert ("pulseboard_log_bytes", "") not in values
    for sample in samples:
        check_metric(sample.metric)
        check_labels(sample.labels)
        assert sample.time == NOON_MS


def test_the_process_is_measured_under_the_usual_names() -> None:
    samples = list(process_samples(NOON_MS))
    assert {sample.metric for sample in samples} == set(selfmetrics.PROCESS)
    assert all(sample.value > 0 for sample in samples)
    assert all(selfmetrics.PROCESS[sample.metric].kind == sample.kind for sample in samples)


@pytest.mark.django_db(transaction=True)
async def test_own_numbers_are_published_each_second_after_an_event_of_the_start() -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(selfmetrics.run(stop))

    async def described() -> bool:
        return await Metric.objects.filter(
            name="pulseboard_samples_total", kind="counter"
        ).aexists()

    await aeventually(described)
    assert await Event.objects.filter(title="Pulseboard started").acount() == 1
    stop.set()
    await asyncio.wait_for(task, 60)


# --- the dashboards that come with it --------------------------------------------------------


def test_the_two_dashboards_are_there() -> None:
    assert {slug: (d["slug"], d["title"]) for slug, d in DASHBOARDS.items()} == {
        "this-machine": ("this-machine", "This machine"),
        "pulseboard-itself": ("pulseboard-itself", "Pulseboard itself"),
    }


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_could_have_been_saved_in_the_admin(panel: dict[str, Any]) -> None:
    Panel(**panel).clean_fields(exclude=["dashboard"])
    assert set(panel) == {
        "title", "kind", "expr", "legend", "unit", "width", "height",
        "min", "max", "decimals", "stacked",
    }  # fmt: skip


@pytest.mark.parametrize("slug", sorted(DASHBOARDS))
def test_a_dashboard_could_have_been_saved_in_the_admin(slug: str) -> None:
    texts = {name: value for name, value in DASHBOARDS[slug].items() if name != "panels"}
    Dashboard(**texts).clean_fields()


@pytest.mark.parametrize("slug", sorted(DASHBOARDS))
def test_rows_of_panels_are_full_and_of_one_height(slug: str) -> None:
    width, heights = 0, set()
    for panel in DASHBOARDS[slug]["panels"]:
        width += panel["width"]
        heights.add(panel["height"])
        assert width <= 12, panel["title"]
        if width == 12:
            assert len(heights) == 1, panel["title"]
            width, heights = 0, set()
    assert width == 0


@pytest.mark.parametrize("panel", PANELS)
def test_a_panels_expression_is_understood_and_asks_for_what_is_published(
    panel: dict[str, Any],
) -> None:
    if panel["kind"] == "events":
        assert panel["expr"] == ""
        return
    expression = parse(panel["expr"])
    published = {**collector.DESCRIPTIONS, **selfmetrics.DESCRIPTIONS}
    for selector in expression.selectors:
        names = [matcher for matcher in selector.matchers if matcher.name == "__name__"]
        if names[0].op == "=":
            assert names[0].value in published
            assert (published[names[0].value].kind == "counter") == (selector.range_ms > 0)
        else:
            assert any(selector.matches({"__name__": name}) for name in published)
