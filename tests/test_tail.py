"""Following the log: what other processes commit is found, in whatever order it appears."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from metrics import bell, gaps, intake, log, tail
from metrics.bell import Committed
from metrics.columns import Columns
from metrics.gaps import Gaps
from metrics.models import Batch
from metrics.samples import EventSample
from metrics.tail import Tail
from tests.support.samples import NOW_MS, accept, sample
from tests.support.store import Program, log_held
from tests.support.waiting import eventually

only_postgres = pytest.mark.parametrize(
    "store", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
NEVER_MS = 3_600_000  # an interval nobody waits for


class Follower:
    """A tail and what it delivered: the value of each batch's first sample."""

    def __init__(self, interval_ms: int = NEVER_MS) -> None:
        self.found: list[Committed] = []
        self.tail = Tail(self.found.append, interval_ms)
        self._now_s = 1000.0

    def look(self, later_s: float = 0.1) -> bool:
        self._now_s += later_s
        return self.tail.look(self._now_s)

    @property
    def values(self) -> list[float]:
        return [float(one.columns.values[0]) for one in self.found]


@pytest.fixture
def follower(store: str) -> Follower:
    return Follower()


@pytest.fixture
def following(store: str) -> Iterator[Follower]:
    """A follower whose thread runs."""
    one = Follower()
    one.tail.start()
    yield one
    one.tail.finish()


def insert(other: psycopg.Connection[object], value: float) -> None:
    """A batch, in a transaction that stays open."""
    other.execute(
        "INSERT INTO metrics_batch (received_at_ms, start_ms, end_ms, count, data)"
        " VALUES (0, %s, %s, 1, %s)",
        (NOW_MS, NOW_MS, Columns.of([1], [NOW_MS], [value]).pack()),
    )


@only_postgres
def test_batches_that_appear_in_the_opposite_order_are_both_found(
    store: str, follower: Follower
) -> None:
    with psycopg.connect(store) as slow, psycopg.connect(store) as quick:
        insert(slow, 1.0)
        insert(quick, 2.0)
        quick.commit()
        follower.look()
        assert follower.values == [2.0]
        slow.commit()
    follower.look()
    follower.look()
    assert follower.values == [2.0, 1.0]


@only_postgres
def test_a_transaction_that_stays_open_for_minutes_is_found_in_the_end(
    store: str, follower: Follower
) -> None:
    with psycopg.connect(store) as slow:
        insert(slow, 1.0)
        accept(sample(value=2.0))
        for _ in range(10):
            follower.look(60)
        slow.commit()
    follower.look(60)
    assert follower.values == [2.0, 1.0]


@only_postgres
def test_a_transaction_that_was_open_when_the_tail_began_is_found(store: str) -> None:
    with psycopg.connect(store) as slow:
        insert(slow, 1.0)
        accept(sample(value=2.0))
        late = Follower()
        slow.commit()
    late.look()
    assert late.values == [1.0]


@only_postgres
def test_a_lost_connection_is_replaced(store: str, following: Follower) -> None:
    accept(sample(value=1.0))
    following.tail.wake()
    eventually(lambda: following.values == [1.0])
    connection.close()
    with psycopg.connect(store, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    accept(sample(value=2.0))

    def found() -> bool:
        following.tail.wake()
        return following.values == [1.0, 2.0]

    eventually(found)


def test_a_batch_that_cannot_be_read_does_not_stop_those_behind_it(
    store: str, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    accept(sample(value=1.0))
    accept(sample(value=2.0), now_ms=NOW_MS + 1)
    broken = Batch.objects.order_by("id")[0]
    Batch.objects.filter(pk=broken.pk).update(data=b"\x09nonsense")
    follower.look()
    follower.look()
    assert follower.values == [2.0]
    assert f"batch {broken.pk} of the log cannot be read" in caplog.text


def test_what_was_there_before_is_not_delivered(store: str) -> None:
    accept(sample(value=1.0))
    late = Follower()
    late.look()
    accept(sample(value=2.0))
    late.look()
    assert late.values == [2.0]


def test_nothing_is_delivered_twice(store: str, follower: Follower) -> None:
    for number in range(5):
        accept(sample(value=number))
        follower.look()
        follower.look()
    assert follower.values == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_own_batches_come_by_the_bell_alone(store: str, follower: Follower) -> None:
    stop = bell.listen(lambda committed: follower.tail.saw(committed.id))
    accept(sample(value=1.0))
    follower.look()
    accept(sample(value=2.0))
    accept(sample(value=3.0))
    stop()
    accept(sample(value=4.0))  # somebody else's
    follower.look()
    follower.look(2)
    assert follower.values == [4.0]


def test_many_new_batches_are_delivered_in_parts(
    store: str, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "LOOK_BATCHES", 5)
    for number in range(12):
        accept(sample(value=number))
    assert [follower.look(), follower.look(), follower.look()] == [True, True, False]
    assert follower.values == [float(number) for number in range(12)]


def test_events_are_delivered_as_they_were_stored(store: str, follower: Follower) -> None:
    intake.accept_events([EventSample("deployed", "why", {"app": "shop"}, NOW_MS)], now_ms=NOW_MS)
    follower.look()
    [event] = follower.found[0].events
    assert (event.title, event.text, event.labels) == ("deployed", "why", {"app": "shop"})
    assert len(follower.found[0].columns) == 0


PUBLISH = """
from tests.support.samples import accept, sample
accept(sample(value=7.0))
"""


def test_another_processs_batch_is_found(store: str) -> None:
    connection.close()
    other = Program(store, PUBLISH).started()
    one = Follower(interval_ms=5)
    one.tail.start()
    try:
        other.go().finish()
        eventually(lambda: one.values == [7.0])
    finally:
        one.tail.finish()


def test_whoever_is_woken_looks_at_once(following: Follower) -> None:
    eventually(following.tail.is_alive)
    accept(sample(value=1.0))

    def found() -> bool:
        following.tail.wake()
        return following.values == [1.0]

    eventually(found)


def test_a_writer_does_not_keep_the_tail_waiting(store: str, follower: Follower) -> None:
    accept(sample(value=1.0))
    with log_held(store):
        follower.look()
    assert follower.values == [1.0]


def test_a_deliverer_that_fails_is_asked_again(store: str) -> None:
    failures = [KeyError("once")]
    found: list[int] = []

    def deliver(committed: Committed) -> None:
        if failures:
            raise failures.pop()
        found.append(committed.id)

    one = Tail(deliver, 5)
    one.start()
    try:
        accept(sample())
        eventually(lambda: found == [log.newest_id()])
    finally:
        one.finish()


def test_missing_ids_are_asked_for_often_then_rarely_then_no_more() -> None:
    missing = Gaps()
    missing.due(0.0)
    missing.note(0, 5, {1, 3, 5}, 0.0)
    assert missing.due(0.5) == [2, 4]
    missing.close([2])
    assert missing.due(0.6) == [4]
    assert missing.due(10.0) == [4]
    assert missing.due(10.1) == [], "no longer at every look"
    assert missing.due(11.1) == [4], "but once a second"
    assert missing.due(gaps.RARE_S) == []
    assert len(missing) == 0


def test_missing_ids_are_bounded_and_the_newest_are_kept() -> None:
    missing = Gaps()
    missing.note(0, 5 * gaps.MOST, (), 0.0)
    assert len(missing) == gaps.MOST
    missing.note(5 * gaps.MOST, 5 * gaps.MOST + 10, (), 1.0)
    assert len(missing) == gaps.MOST
    assert max(missing.due(2.0)) == 5 * gaps.MOST + 10
