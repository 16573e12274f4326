"""The single door for data: what it refuses, and how increments and retries count."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from metrics import intake, log, writer
from metrics.columns import Columns
from metrics.models import Batch, Event, Metric, Receipt, Series, Source, Total
from metrics.names import LABELS
from metrics.query import evaluate, parse
from metrics.reader import Stored
from metrics.refused import Refused
from metrics.samples import EventSample, Sample
from tests.support.samples import NOW_MS, accept, sample, samples_in_log, stored
from tests.support.store import Program, run_together

GOOD = sample("orders", 1.0, region="eu")
BAD_SAMPLES = [
    (Sample("orders", math.nan), "value", "nan: expected a finite number"),
    (Sample("orders", math.inf), "value", "inf: expected a finite number"),
    (Sample("orders", -math.inf, kind="counter"), "value", "-inf: expected"),
    (Sample("orders_total", -1.0, kind="increment"), "value", "-1: a counter only grows"),
    (Sample("orders_total", 2e300, kind="increment"), "value", "increment of at most 1e.300"),
    (Sample("orders", 1.0, time=NOW_MS // 1000), "time", "milliseconds .* looks like seconds"),
    (Sample("orders", 1.0, time=0), "time", "0: expected milliseconds since 1970, not before"),
    (Sample("orders", 1.0, time=-(2**63)), "time", "expected milliseconds"),
    (Sample("orders", 1.0, time=NOW_MS * 1000), "time", "more than 10 minutes ahead"),
    (Sample("orders", 1.0, time=NOW_MS + 600_001), "time", "more than 10 minutes ahead"),
    (Sample("orders-total", 1.0), "metric", "'orders-total' is not a metric name"),
    (Sample("", 1.0), "metric", "'' is not a metric name"),
    (Sample("\ud800", 1.0), "metric", "is not a metric name"),
    (Sample("orders", 1.0, {"region": "\x00"}), "labels.region", "control character U.0000"),
    (Sample("orders", 1.0, {"region": "\udfff"}), "labels.region", "lone surrogate"),
    (Sample("orders", 1.0, {"region": "x" * 2000}), "labels.region", "2000 characters long"),
    (Sample("orders", 1.0, {"a-b": "c"}), "labels.a-b", "is not a label name"),
    (Sample("orders", 1.0, {"\x00": "c"}), r"labels.'\x00'", "is not a label name"),
    (Sample("orders", 1.0, {"__name__": "c"}), "labels.__name__", "reserved"),
    (Sample("orders", 1.0, {f"l{n}": "x" for n in range(LABELS + 1)}), "labels", "31 labels"),
]


def nothing_is_stored() -> bool:
    models: list[Any] = [Batch, Event, Metric, Receipt, Series, Total]
    return not any(model.objects.exists() for model in models)


def tell(refusal: pytest.ExceptionInfo[Refused]) -> tuple[int, str]:
    return refusal.value.status, refusal.value.item


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("bad", "item", "reason"), BAD_SAMPLES)
def test_one_bad_sample_and_nothing_of_the_request_is_stored(
    bad: Sample, item: str, reason: str
) -> None:
    with pytest.raises(Refused, match=reason) as refusal:
        accept(GOOD, GOOD, sample("new_total", 1, "increment"), bad, key="k")
    assert tell(refusal) == (400, f"samples[3].{item}")
    assert nothing_is_stored()


@pytest.mark.django_db(transaction=True)
def test_a_bad_sample_is_refused_in_async_code_too() -> None:
    async def publish() -> None:
        with pytest.raises(Refused, match=r"samples\[1\].value: nan"):
            await intake.aaccept([GOOD, Sample("orders", math.nan)], now_ms=NOW_MS)
        with pytest.raises(Refused, match=r"samples\[0\].metric"):
            await intake.aaccept([Sample("a-b", 1.0)], now_ms=NOW_MS)

    asyncio.run(publish())
    assert nothing_is_stored()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("bad", "item"),
    [
        (EventSample(" "), "title"),
        (EventSample("a\nb"), "title"),
        (EventSample("x" * 201), "title"),
        (EventSample("ok", "\x00"), "text"),
        (EventSample("ok", "x" * 10_001), "text"),
        (EventSample("ok", labels={"a-b": "c"}), "labels.a-b"),
        (EventSample("ok", labels={"app": "\ud800"}), "labels.app"),
        (EventSample("ok", time=NOW_MS // 1000), "time"),
    ],
)
def test_one_bad_event_and_none_is_stored(bad: EventSample, item: str) -> None:
    with pytest.raises(Refused) as refusal:
        intake.accept_events([EventSample("deployed"), bad], now_ms=NOW_MS)
    assert tell(refusal) == (400, f"events[1].{item}")
    assert nothing_is_stored()


def test_another_body_with_the_same_key_is_refused_and_makes_no_series(store: str) -> None:
    accept(GOOD, key="k", body_hash=b"one")
    with pytest.raises(Refused, match="used before with another body") as refusal:
        accept(sample("new"), key="k", body_hash=b"two")
    assert tell(refusal) == (422, "Idempotency-Key")
    assert Batch.objects.count() == Metric.objects.count() == 1


def test_the_edges_of_what_is_plausible_are_taken(store: str) -> None:
    times = [intake.OLDEST_MS, NOW_MS, NOW_MS + intake.FUTURE_MS]
    values = [-1.7e308, 5e-324, 0.0]
    accept(*(Sample("x", v, time=at) for v, at in zip(values, times, strict=True)))
    assert stored("x") == dict(zip(times, values, strict=True))


def test_a_reading_without_a_time_was_taken_now(store: str) -> None:
    assert accept(GOOD, sample("cpu", 5.0, "counter")).stored == 2
    assert stored("orders", {"region": "eu"}) == {NOW_MS: 1.0}
    assert stored("cpu") == {NOW_MS: 5.0}


def test_an_empty_request_is_no_error(store: str) -> None:
    assert accept().stored == 0
    assert accept(key="k").stored == 0
    assert accept(key="k").replayed
    assert Batch.objects.count() == 0


def test_events_are_stored_in_order_with_their_source(store: str) -> None:
    source = Source.objects.create(name="ci", token_hash="x", prefix="pb_")
    events = [EventSample("one", time=NOW_MS - 5), EventSample("two", "why", {"app": "shop"})]
    assert intake.accept_events(events, now_ms=NOW_MS, source=source).stored == 2
    rows = Event.objects.order_by("id").values_list("title", "text", "time_ms", "source__name")
    assert [*rows] == [("one", "", NOW_MS - 5, "ci"), ("two", "why", NOW_MS, "ci")]


# -- increments ------------------------------------------------------------------------------------


def test_increments_become_a_running_total_that_is_told(store: str) -> None:
    accept(sample("orders_total", 3, "increment", region="eu"))
    answer = accept(
        sample("load", 0.5),
        sample("orders_total", 2, "increment", region="eu"),
        sample("orders_total", 1, "increment", region="us"),
        sample("orders_total", 0.5, "increment", region="eu"),
        now_ms=NOW_MS + 7,
    )
    assert answer.totals == {1: 5.5, 2: 1.0, 3: 5.5}
    assert stored("orders_total", {"region": "eu"}) == {NOW_MS: 3.0, NOW_MS + 7: 5.5}


def test_the_time_of_a_total_grows_even_where_clocks_do_not(store: str) -> None:
    for now_ms in (NOW_MS, NOW_MS, NOW_MS - 86_400_000, NOW_MS + 1):
        accept(sample("orders_total", 1, "increment"), now_ms=now_ms)
    accept(Sample("orders_total", 1.0, {}, NOW_MS + 500_000, "increment"), now_ms=NOW_MS + 10)
    assert stored("orders_total") == {
        NOW_MS: 1.0,
        NOW_MS + 1: 2.0,
        NOW_MS + 2: 3.0,
        NOW_MS + 3: 4.0,
        NOW_MS + 10: 5.0,
    }


def test_the_sum_of_a_histogram_may_fall(store: str) -> None:
    accept(sample("change_sum", 5, "increment"))
    assert accept(sample("change_sum", -7, "increment")).totals == {0: -2.0}


def is_a_running_total(readings: dict[int, float], total: float) -> bool:
    """It ends at the total, never goes back, and `rate` therefore never sees a reset."""
    values = [*readings.values()]
    return values == sorted(values) and values[-1] == total


def test_increments_of_many_threads_all_count(store: str) -> None:
    names = ["a_total", "b_total"]
    accept(*(sample(name, 0, "increment") for name in names))

    def publish(number: int) -> None:
        order = names if number % 2 else names[::-1]  # two writers lock in any order
        try:
            for step in range(25):
                accept(*(sample(name, 1, "increment") for name in order), now_ms=NOW_MS + step)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(publish, range(8)))
    for name in names:
        assert is_a_running_total(stored(name), 200)
        assert len(stored(name)) == 201


INCREMENT = """
import sys
from metrics.clock import now_ms
from tests.support.samples import accept, sample
for step in range(int(sys.argv[1])):
    accept(sample("orders_total", 1, "increment"), sample(f"own_{sys.argv[2]}", 2, "increment"),
           now_ms=now_ms())
"""


def test_increments_of_many_processes_all_count_and_rate_sees_no_reset(store: str) -> None:
    connection.close()
    run_together([Program(store, INCREMENT, 40, number) for number in range(3)])
    readings = stored("orders_total")
    assert is_a_running_total(readings, 120)
    assert Total.objects.get(series__metric__name="orders_total").value == 120
    end_ms = max(readings) + 1
    increase = evaluate(parse("increase(orders_total[1h])"), Stored(), end_ms, end_ms, 1000)
    assert 0 < increase.values[0, 0] < 2 * 120


# -- retries ---------------------------------------------------------------------------------------


def test_a_retried_request_counts_once(store: str) -> None:
    first = accept(sample("orders_total", 3, "increment"), key="k")
    again = accept(sample("orders_total", 3, "increment"), key="k", now_ms=NOW_MS + 5)
    assert (first.stored, first.replayed, first.totals) == (1, False, {0: 3.0})
    assert (again.stored, again.replayed) == (1, True)
    assert stored("orders_total") == {NOW_MS: 3.0}


def test_the_same_key_of_two_sources_are_two_requests(store: str) -> None:
    one, two = (
        Source.objects.create(name=name, token_hash=name, prefix="pb_") for name in ("one", "two")
    )
    answers = [accept(GOOD, key="k", source=source) for source in (one, two, None, one)]
    assert [answer.replayed for answer in answers] == [False, False, False, True]


def test_a_request_that_was_refused_may_be_corrected_under_its_key(store: str) -> None:
    with pytest.raises(Refused):
        accept(Sample("orders", math.nan), key="k", body_hash=b"one")
    assert not accept(GOOD, key="k", body_hash=b"two").replayed


def test_the_same_key_inside_one_group_counts_once(store: str, settings: Any) -> None:
    from metrics import commit

    settings.SERIES_PER_METRIC = 1

    def entry(
        key: str, body_hash: bytes = b"", user: str = "a", metric: str = "c_total"
    ) -> log.Entry:
        newcomer = log.Newcomer(0, "increment")
        one = log.Increment(0, log.UNKNOWN, 1.0, None)
        newcomer.increments.append(one)
        wanted = {(metric, frozenset({("user", user)})): newcomer}
        return log.Entry(
            Columns.of((), (), ()),
            [one],
            NOW_MS,
            newcomers=wanted,
            receipt=log.Key("local", key, body_hash),
        )

    outcomes = commit.write_or_refuse(
        [entry("k"), entry("k"), entry("k", b"other"), entry("x", user="b"), entry("x", user="b")]
    )
    told = [
        (one.status if isinstance(one, Refused) else getattr(one, "replayed", one))
        for one in outcomes
    ]
    # Two refused ones: the second must not be answered as if the first had been stored.
    assert told == [False, True, 422, 429, 429]
    assert [*stored("c_total", {"user": "a"}).values()] == [1.0]
    assert Receipt.objects.count() == 1


def test_the_same_key_at_the_same_time_counts_once(store: str) -> None:
    def publish(number: int) -> bool:
        try:
            return accept(sample("orders_total", 1, "increment"), key=f"k{number % 5}").replayed
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        replayed = list(pool.map(publish, range(40)))
    assert replayed.count(False) == 5
    assert max(stored("orders_total").values()) == 5


def test_retries_through_the_writer_count_once(store: str) -> None:
    writer.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(
                    lambda n: accept(sample("orders_total", 1, "increment"), key=f"k{n % 5}"),
                    range(40),
                )
            )
    finally:
        writer.stop()
    assert [answer.replayed for answer in answers].count(False) == 5
    assert max(stored("orders_total").values()) == 5


RETRY = """
from metrics.clock import now_ms
from tests.support.samples import accept, sample
answers = [accept(sample("orders_total", 1, "increment"), key=f"k{n}", now_ms=now_ms())
           for n in range(40)]
print(sum(not answer.replayed for answer in answers))
"""


def test_the_same_keys_in_two_processes_count_once(store: str) -> None:
    connection.close()
    fresh = run_together([Program(store, RETRY) for _ in range(2)])
    assert sum(map(int, fresh)) == 40
    assert is_a_running_total(stored("orders_total"), 40)


def test_async_code_publishes_without_a_writer_and_with_one(store: str) -> None:
    async def publish() -> int:
        answers = await asyncio.gather(
            *(intake.aaccept([sample("a", n, n=str(n))], now_ms=NOW_MS) for n in range(10))
        )
        return sum(answer.stored for answer in answers)

    assert asyncio.run(publish()) == 10
    writer.start()
    try:
        assert asyncio.run(publish()) == 10
    finally:
        writer.stop()
    assert samples_in_log() == 20
