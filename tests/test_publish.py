"""from metrics import publish: what any code of the project hands in, and never waits for."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient
from django.urls import path

from metrics import intake, publish
from metrics.models import Event, Metric, Series
from metrics.publisher import Buffer
from metrics.refused import Refused
from metrics.samples import Accepted, Sample
from tests.support.samples import accept, published, sample, samples_in_log
from tests.support.store import log_held


@login_not_required
async def view(request: HttpRequest) -> HttpResponse:
    """A page of somebody's project."""
    await publish.acounter("pages_total", page="start")
    publish.gauge("load", 0.5)
    await publish.aevent("seen", app="shop")
    return HttpResponse("ok")


urlpatterns = [path("page", view)]
pytestmark = pytest.mark.usefixtures("publisher")


# -- what is wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: publish.gauge("a-b", 1),
        lambda: publish.gauge("a", 1, **{"b-c": "d"}),
        lambda: publish.gauge("a", 1, region="\x00"),
        lambda: publish.gauge("a", "fast"),  # type: ignore[arg-type]
        lambda: publish.counter("orders_total", -1),
        lambda: publish.observe("a-b", 1),
        lambda: publish.observe("a", 1, le="5"),
        lambda: publish.timer("a b"),
        lambda: publish.timer("a", le="5"),
    ],
)
def test_what_cannot_be_is_said_where_it_is_used(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        call()
    assert publish.flush()
    assert samples_in_log() == 0


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_none_is_counted_and_does_not_disturb(
    number: float, caplog: pytest.LogCaptureFixture
) -> None:
    publish.gauge("load", number)
    publish.counter("orders_total", number)
    publish.observe("size", number, buckets=(1,))
    assert publish.dropped() == 6
    assert "load: expected a finite number" in caplog.text
    publish.gauge("load", 1)
    assert published("load") == [1.0]


def test_a_refused_metric_does_not_take_others_with_it(settings: Any) -> None:
    settings.SERIES_PER_METRIC = 2
    accept(sample("users", n="0"), sample("users", n="1"))
    for number in range(6):
        publish.gauge("users", 7, n=number)
        publish.gauge("load", 1)
        publish.counter("orders_total")
    assert published("users", n="1") == [1.0, 7.0], "existing series go on"
    assert published("orders_total")[-1:] == [6.0]
    assert published("load")
    assert publish.dropped() == 4
    assert Series.objects.filter(metric__name="users").count() == 2


def test_new_metrics_beyond_the_limit_of_all_are_dropped_and_known_ones_go_on(
    settings: Any,
) -> None:
    accept(sample("load"))
    settings.SERIES = 1
    for number in range(300):
        publish.gauge(f"new_{number}", 1)
    publish.gauge("load", 5)
    assert published("load") == [1.0, 5.0]
    assert publish.dropped() == 300


def test_one_bad_sample_of_a_batch_is_dropped_alone() -> None:
    publish.record([sample("a"), Sample("a", 2.0, {}, 5), sample("b-c"), sample("d")], wait=False)
    assert (published("a"), published("d"), publish.dropped()) == ([1.0], [1.0], 2)


def test_what_cannot_be_published_at_all_does_not_block_the_rest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong: Any = Sample("a", "fast")  # type: ignore[arg-type]
    publish.record([wrong], wait=False)
    assert publish.flush()
    publish.gauge("load", 1)
    assert published("load") == [1.0]
    assert publish.dropped() == 1
    assert "TypeError" in caplog.text


def test_a_recorded_batch_says_why_it_was_refused() -> None:
    with pytest.raises(Refused, match=r"samples\[1\].value: nan"):
        publish.record([sample(), sample(value=math.nan)])


# -- what does not fit -----------------------------------------------------------------------------


def test_what_waits_is_bounded_and_the_rest_is_counted(
    store: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.PUBLISH_BUFFER = 100
    with log_held(store):
        for number in range(500):
            publish.gauge("load", number, n=number)
            publish.counter("orders_total")
    assert publish.flush(30)
    dropped = publish.dropped()
    assert 100 <= dropped <= 1000 - 100
    assert samples_in_log() < 500
    assert caplog.text.count("the buffer is full (setting PUBLISH_BUFFER)") == 1, "said once"


def test_a_counter_that_waits_already_needs_no_room() -> None:
    buffer = Buffer()
    assert buffer.add([sample("c", 1, "increment")], 1)
    assert buffer.add([sample("c", 2, "increment")], 1)
    assert not buffer.add([sample("d", 2, "increment")], 1)
    assert [one.value for one in buffer.samples()] == [3.0]


def test_an_observation_is_taken_whole_or_not_at_all() -> None:
    buffer = Buffer()
    parts = [sample(f"c{number}", 1, "increment") for number in range(3)]
    assert not buffer.add(parts, 2)
    assert len(buffer) == 0
    assert buffer.add(parts, 3)


def test_what_was_handed_in_may_be_used_again() -> None:
    once = sample("orders_total", 1, "increment")
    for _ in range(3):
        publish.record([once], wait=False)
    assert once.value == 1
    assert published("orders_total")[-1] == 3.0


def test_a_retry_after_a_lost_answer_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    accept_really = intake.accept
    lost: list[Accepted] = []

    def accept_and_lose_the_answer(*args: Any, **options: Any) -> Accepted:
        answer = accept_really(*args, **options)
        if not lost:
            lost.append(answer)
            raise Refused(503, "", "the answer was lost")
        return answer

    monkeypatch.setattr(intake, "accept", accept_and_lose_the_answer)
    publish.counter("orders_total", 3)
    publish.gauge("load", 1)
    assert published("orders_total")[-1] == 3.0
    assert published("load") == [1.0]
    assert lost
    assert publish.dropped() == 0


# -- what works ------------------------------------------------------------------------------------


def test_a_gauge_is_a_reading_at_its_own_time() -> None:
    publish.gauge("load", 1, host="a")
    publish.gauge("load", 2, host="b")
    assert (published("load", host="a"), published("load", host="b")) == ([1.0], [2.0])


def test_labels_may_be_anything_that_has_a_text() -> None:
    publish.gauge("load", 1, port=80, secure=True)
    assert published("load", port="80", secure="True") == [1.0]


def test_counters_of_many_threads_add_up() -> None:
    def work() -> None:
        for _ in range(200):
            publish.counter("orders_total")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert published("orders_total")[-1] == 1600
    assert Metric.objects.get().kind == "counter"


def test_an_observation_lands_in_its_bucket_and_all_above() -> None:
    for value in (0.3, 3.0, 100.0):
        publish.observe("size", value, buckets=(1_048_576, 0.5, 3, math.inf, 3.0), app="shop")
    assert publish.flush()
    buckets = {
        series.labels["le"]: published("size_bucket", **series.labels)[-1]
        for series in Series.objects.filter(metric__name="size_bucket")
    }
    assert buckets == {"0.5": 1.0, "3": 2.0, "1048576": 3.0, "+Inf": 3.0}
    assert published("size_sum", app="shop")[-1] == pytest.approx(103.3)
    assert published("size_count", app="shop")[-1] == 3


def test_the_usual_buckets_are_written_as_prometheus_writes_them() -> None:
    publish.observe("wait_seconds", 0.3)
    assert publish.flush()
    rows = Series.objects.filter(metric__name="wait_seconds_bucket").order_by("id")
    assert {row.labels["le"] for row in rows} == {
        "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5",
        "7.5", "10", "+Inf",
    }  # fmt: skip


def test_a_timer_times_blocks_and_functions_and_coroutines() -> None:
    with publish.timer("import_seconds", job="a"), publish.timer("import_seconds", job="b"):
        pass

    @publish.timer("import_seconds", job="a")
    def work(number: int) -> int:
        """Works."""
        return number if number < 2 else work(number - 1) + work(number - 2)

    @publish.timer("import_seconds", job="c")
    async def wait(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def wait_twice() -> tuple[int, int]:
        return await asyncio.gather(wait(3), wait(4))

    assert (work(3), work.__doc__, [*asyncio.run(wait_twice())]) == (2, "Works.", [3, 4])
    counts = [published("import_seconds_count", job=job)[-1] for job in "abc"]
    assert counts == [6.0, 1.0, 2.0]
    assert 0 <= published("import_seconds_sum", job="a")[-1] < 10


def test_a_timer_also_times_what_fails() -> None:
    with pytest.raises(KeyError), publish.timer("import_seconds"):
        raise KeyError(1)
    assert published("import_seconds_count") == [1.0]


def test_an_event_is_stored_when_the_call_returns() -> None:
    publish.event("deployed", "version 1.2", app="shop", attempt=2)
    event = Event.objects.get()
    assert (event.title, event.text) == ("deployed", "version 1.2")
    assert event.labels == {"app": "shop", "attempt": "2"}
    with pytest.raises(Refused, match=r"events\[0\].title"):
        publish.event("")


def test_a_recorded_batch_is_stored_when_the_call_returns() -> None:
    answer = publish.record([sample(value=4), sample("cpu", 2, "counter")])
    assert answer == Accepted(2)
    assert samples_in_log() == 2


@pytest.mark.urls(__name__)
def test_an_async_view_publishes() -> None:
    response = asyncio.run(AsyncClient().get("/page"))
    assert response.status_code == 200
    assert published("pages_total", page="start") == [1.0]
    assert published("load") == [0.5]
    assert Event.objects.get().title == "seen"


def test_the_async_twins_do_the_same() -> None:
    async def work() -> bool:
        await publish.agauge("load", 1, host="a")
        await publish.acounter("orders_total", 2)
        await publish.aobserve("size", 1, buckets=(5,))
        return await publish.aflush()

    assert asyncio.run(work())
    assert published("load", host="a") == [1.0]
    assert published("orders_total") == [2.0]
    assert published("size_bucket", le="5") == [1.0]
