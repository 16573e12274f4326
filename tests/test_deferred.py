"""Counters inside long transactions: nobody waits for them, and all of it counts in the end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from metrics import commit, deferred, jobs, log, publish
from metrics.columns import Columns
from metrics.models import Deferred
from metrics.samples import Sample
from tests.support.samples import NOW_MS, accept, sample, stored
from tests.support.store import Program, run_together

pytestmark = pytest.mark.parametrize(
    "store", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


def total(metric: str) -> float:
    return max(stored(metric).values(), default=0.0)


def in_thread(work: object, *args: object) -> None:
    """Runs a function on a thread, with a connection of its own, and waits for it."""

    def and_close() -> None:
        try:
            work(*args)  # type: ignore[operator]
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(and_close).result(10)


class Abandoned(Exception):
    pass


def test_a_rolled_back_transaction_counts_nothing(store: str) -> None:
    accept(sample("orders_total", 1, "increment"))
    with pytest.raises(Abandoned), transaction.atomic():
        publish.counter("orders_total", 5)
        raise Abandoned
    jobs.add_up_deferred(NOW_MS)
    assert total("orders_total") == 1
    assert not Deferred.objects.exists()


def test_a_long_transaction_keeps_nobody_waiting(store: str) -> None:
    accept(sample("orders_total", 1, "increment"))
    with transaction.atomic():
        publish.counter("orders_total", 10)
        in_thread(accept, sample("orders_total", 100, "increment"))
        assert total("orders_total") == 101
    assert total("orders_total") == 111


def test_two_transactions_that_count_in_opposite_order_both_count(store: str) -> None:
    names = ["a_total", "b_total"]
    accept(*(sample(name, 1, "increment") for name in names))
    both_counted_one = threading.Barrier(2)

    def work(order: list[str]) -> None:
        with transaction.atomic():
            accept(sample(order[0], 1, "increment"))
            both_counted_one.wait(10)
            accept(sample(order[1], 1, "increment"))
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, [names, names[::-1]]))
    assert [total(name) for name in names] == [3.0, 3.0]


def test_its_gauges_and_events_are_in_the_transaction_itself(store: str) -> None:
    with transaction.atomic():
        accept(sample("load", 2), sample("orders_total", 1, "increment"))
        publish.event("deployed")
        publish.record([Sample("cpu", 1.0)])
        assert total("load") == 2
        assert total("orders_total") == 0
    assert total("orders_total") == 1


def test_what_a_dying_process_left_is_added_up_once(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(commit, "add_up_deferred", lambda: None)
        with transaction.atomic():
            publish.counter("orders_total", 2)
            publish.counter("orders_total", 3)
    assert total("orders_total") == 0
    left = deferred.waiting()
    jobs.add_up_deferred(NOW_MS)
    assert total("orders_total") == 5
    # Another process had read the same notes, and comes too late.
    assert all(outcome.replayed for outcome in commit.write(left))  # type: ignore[union-attr]
    assert total("orders_total") == 5


def test_increments_of_a_deleted_series_do_not_block_the_others(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(sample("orders_total", 1, "increment"))
    with monkeypatch.context() as dying:
        dying.setattr(commit, "add_up_deferred", lambda: None)
        with transaction.atomic():
            publish.counter("orders_total", 2)
    nowhere = log.Entry(Columns.of((), (), ()), [log.Increment(0, 10**9, 1.0, None)], NOW_MS)
    deferred.keep([nowhere])
    jobs.add_up_deferred(NOW_MS)
    assert total("orders_total") == 3
    assert not Deferred.objects.exists()


COUNT = """
import sys
from django.db import transaction
from metrics import publish
for step in range(20):
    with transaction.atomic():
        publish.counter("a_total")
        publish.counter("b_total", 2)
        transaction.set_rollback(step % 4 == 3)
"""


def test_transactions_of_many_processes_all_count(store: str) -> None:
    connection.close()
    run_together([Program(store, COUNT) for _ in range(3)])
    assert [total("a_total"), total("b_total")] == [45.0, 90.0]
    values = [*stored("a_total").values()]
    assert values == sorted(values)
