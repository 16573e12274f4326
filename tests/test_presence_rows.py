"""What processes tell each other of who is here, on both databases and by a given clock."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import DateTimeField, Value
from django.test.utils import CaptureQueriesContext

from dashboard.models import Present
from dashboard.presence_rows import (
    ALONE_BEAT_S,
    BEAT_S,
    FORGOTTEN_S,
    LEASE_S,
    Content,
    Here,
    Rows,
    encode,
)

BEGAN = datetime(2026, 11, 20, 12, tzinfo=UTC)
ANN: Content = {"shop": Here([("user 1", "ann", False)])}
BOB: Content = {"shop": Here([("user 2", "bob", True)], 3)}


class Clock:
    """The database's, and that of processes for intervals."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.set_back_s = 0.0

    def now(self) -> Any:
        at = BEGAN + timedelta(seconds=self.seconds - self.set_back_s)
        return Value(at, output_field=DateTimeField())

    def steady_s(self) -> float:
        return self.seconds

    def process(self) -> Rows:
        return Rows(self.now, self.steady_s)


@pytest.fixture
def clock(store: str) -> Clock:
    return Clock()


def heard(rows: Rows, content: Content = ANN) -> list[Content]:
    """What it hears of others when it tells this itself."""
    return [there for there, _ in rows.exchange(encode(content))[1].values()]


def test_what_cannot_be_read_is_nobody(clock: Clock) -> None:
    for number, people in enumerate(["", "[", "[]", '{"shop": 5}', '{"shop": [[["user 1"]]]}']):
        Present.objects.create(process=str(number), version=1, people=people, seen_at=BEGAN)
    assert heard(clock.process()) == [{}] * 5


def test_processes_hear_each_other(clock: Clock) -> None:
    one, other = clock.process(), clock.process()
    assert heard(one) == []
    assert heard(other, BOB) == [ANN]
    assert heard(one) == [BOB]


def test_by_the_databases_own_clock_too(store: str) -> None:
    one, other = Rows(), Rows()
    one.exchange(encode(ANN))
    [(content, age_s)] = other.exchange(encode(BOB))[1].values()
    assert content == ANN
    assert 0 <= age_s < LEASE_S


def test_a_process_that_does_not_beat_counts_for_the_time_of_its_lease(clock: Clock) -> None:
    dead, other = clock.process(), clock.process()
    dead.exchange(encode(BOB))
    clock.seconds = LEASE_S - 0.1
    [(content, age_s)] = other.exchange(encode(ANN))[1].values()
    assert content == BOB
    assert age_s == pytest.approx(LEASE_S - 0.1)
    clock.seconds = LEASE_S
    assert heard(other) == []


def test_a_process_that_beats_is_heard_for_ever(clock: Clock) -> None:
    one, other = clock.process(), clock.process()
    for _ in range(10):
        one.exchange(encode(BOB))
        clock.seconds += LEASE_S - 1
        assert heard(other) == [BOB]


def test_it_is_written_when_it_changes_and_else_at_each_beat(clock: Clock) -> None:
    one, other = clock.process(), clock.process()
    other.exchange(encode(BOB))
    assert written(one, ANN)
    assert not written(one, ANN)
    assert written(one, BOB)
    clock.seconds += BEAT_S / 2
    assert not written(one, BOB)
    clock.seconds += BEAT_S / 2
    assert written(one, BOB)


def test_who_is_alone_hardly_writes_and_does_again_when_somebody_comes(clock: Clock) -> None:
    one, other = clock.process(), clock.process()
    assert written(one, ANN)
    clock.seconds += ALONE_BEAT_S - 1
    assert not written(one, ANN)
    assert heard(other, BOB) == [], "what is old does not count"
    assert written(one, ANN)
    assert heard(other, BOB) == [ANN]
    other.leave()
    clock.seconds += LEASE_S
    assert not written(one, ANN)
    clock.seconds += ALONE_BEAT_S
    assert written(one, ANN)


def test_two_that_took_each_other_for_dead_find_each_other(clock: Clock) -> None:
    one, other = clock.process(), clock.process()
    one.exchange(encode(ANN))
    other.exchange(encode(BOB))
    clock.seconds += LEASE_S
    assert (heard(one), heard(other, BOB)) == ([], [])
    clock.seconds += ALONE_BEAT_S
    assert (heard(one), heard(other, BOB), heard(one)) == ([], [ANN], [BOB])


def written(rows: Rows, content: Content) -> bool:
    """Whether an exchange writes."""
    with CaptureQueriesContext(connection) as captured:
        rows.exchange(encode(content))
    words = [query["sql"].split()[0] for query in captured.captured_queries]
    return "UPDATE" in words


def test_only_what_has_changed_is_read_again(clock: Clock) -> None:
    one, other = clock.process(), clock.process()
    one.exchange(encode(ANN))
    before = heard(other, BOB)
    with CaptureQueriesContext(connection) as captured:
        after = heard(other, BOB)
    assert after[0] is before[0]
    assert len(captured) == 1
    one.exchange(encode(BOB))
    assert heard(other, BOB) == [BOB]


def test_when_the_clock_is_set_back_the_living_are_heard_again_at_their_next_beat(
    clock: Clock,
) -> None:
    dead, alive, other = clock.process(), clock.process(), clock.process()
    dead.exchange(encode(BOB))
    alive.exchange(encode(ANN))
    clock.set_back_s = 30.0
    assert heard(other) == []
    clock.seconds += BEAT_S
    alive.exchange(encode(ANN))
    assert heard(other) == [ANN]


def test_who_has_nobody_any_more_has_no_row_and_asks_nothing(clock: Clock) -> None:
    one, other = clock.process(), clock.process()
    other.exchange(encode(BOB))
    one.exchange(encode(ANN))
    assert one.exchange(None) == (True, {})
    assert heard(other) == []
    with CaptureQueriesContext(connection) as captured:
        assert one.exchange(None) == (False, {})
    assert len(captured) == 0


def test_who_has_left_writes_nothing_any_more(clock: Clock) -> None:
    one = clock.process()
    one.exchange(encode(ANN))
    one.leave()
    assert one.exchange(encode(ANN)) == (False, {})
    assert not Present.objects.exists()


def test_leaving_waits_for_what_is_being_written(clock: Clock) -> None:
    one = clock.process()
    one._lock.acquire()
    leaving = threading.Thread(target=in_thread, args=(one.leave,))
    leaving.start()
    one._write(encode(ANN))
    one._lock.release()
    leaving.join()
    assert not Present.objects.exists()


def in_thread(work: Any) -> None:
    try:
        work()
    finally:
        connection.close()


def test_the_rows_of_the_dead_are_deleted_and_who_only_slept_comes_back(clock: Clock) -> None:
    asleep, other = clock.process(), clock.process()
    asleep.exchange(encode(BOB))
    clock.seconds = FORGOTTEN_S + 1
    assert heard(other) == []
    assert Present.objects.count() == 1
    asleep.exchange(encode(BOB))
    assert heard(other) == [BOB]
