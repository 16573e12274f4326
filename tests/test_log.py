"""Appending to the log: durable, in groups, and with the transaction around it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from metrics import bell, intake, log, writer
from metrics.bell import Committed
from metrics.models import Batch, Event
from metrics.refused import Refused
from metrics.samples import EventSample
from tests.support.samples import (
    NOW_MS,
    accept,
    entry,
    in_threads,
    known_series,
    sample,
    samples_in_log,
    stored,
)
from tests.support.store import log_held, rolled_back_savepoint
from tests.support.waiting import eventually


@pytest.fixture
def running(store: str) -> Iterator[writer.Writer]:
    yield writer.start()
    writer.stop()


@pytest.fixture
def rung() -> Iterator[list[Committed]]:
    """What the bell said."""
    found: list[Committed] = []
    stop = bell.listen(found.append)
    yield found
    stop()


def test_what_arrives_during_a_commit_shares_the_next_one(
    store: str, running: writer.Writer, rung: list[Committed]
) -> None:
    series = known_series()
    rung.clear()
    with log_held(store):
        waiting = in_threads(lambda: log.append(entry(series)), 30)
        eventually(lambda: running._waiting == 60)
    assert [future.result(20).stored for future in waiting] == [1] * 30
    assert len(rung) <= 3, "30 requests, and hardly more than two commits"
    assert sum(len(committed.columns) for committed in rung) == 30


def test_one_transaction_does_not_grow_without_bound(
    running: writer.Writer, store: str, monkeypatch: pytest.MonkeyPatch, rung: list[Committed]
) -> None:
    series = known_series()
    rung.clear()
    monkeypatch.setattr(writer, "COMMIT_ENTRIES", 4)
    with log_held(store):
        waiting = in_threads(lambda: log.append(entry(series)), 13)
        eventually(lambda: running._waiting == 26)
    assert all(future.result(20) for future in waiting)
    assert max(len(committed.columns) for committed in rung) <= 4


def test_a_request_whose_client_went_away_is_still_stored(
    store: str, running: writer.Writer
) -> None:
    series = known_series()

    async def publish_and_leave() -> None:
        with log_held(store):
            task = asyncio.create_task(log.aappend(entry(series, 9.0)))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await log.aappend(entry(series, 10.0))

    asyncio.run(publish_and_leave())
    assert samples_in_log() == 3


def test_every_connection_waits_for_the_disk(store: str, running: writer.Writer) -> None:
    question = "PRAGMA synchronous" if store.startswith("sqlite") else "SHOW synchronous_commit"

    def ask() -> Any:
        with connection.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchone()[0]

    answers = [ask()]
    stop = bell.listen(lambda committed: answers.append(ask()))  # on the writer's thread
    accept(sample())
    stop()

    def in_thread() -> None:
        answers.append(ask())
        connection.close()

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert answers == [2, 2, 2] or answers == ["on", "on", "on"]


def test_the_bell_rings_once_the_batch_can_be_read(store: str, rung: list[Committed]) -> None:
    there: list[bool] = []
    stop = bell.listen(
        lambda committed: there.append(Batch.objects.filter(pk=committed.id).exists())
    )
    intake.accept_events([EventSample("deployed", labels={"app": "shop"})], now_ms=NOW_MS)
    accept(sample(value=4))
    stop()
    assert there == [True, True]
    assert [(one.title, one.labels) for one in rung[0].events] == [("deployed", {"app": "shop"})]
    assert rung[0].events[0].id == Event.objects.get().pk
    assert rung[1].columns.values.tolist() == [4.0]
    assert rung[1].received_ns > 0


def test_a_listener_that_fails_disturbs_nobody(store: str, rung: list[Committed]) -> None:
    def fail(committed: Committed) -> None:
        raise KeyError(1)

    stop = bell.listen(fail)
    stop_later = bell.listen(rung.append)
    assert accept(sample()).stored == 1
    stop()
    stop_later()
    assert len(rung) == 2


# -- inside somebody's transaction -----------------------------------------------------------------


class Abandoned(Exception):
    pass


@pytest.mark.parametrize("with_writer", [False, True])
def test_samples_die_with_the_transaction(
    store: str, rung: list[Committed], with_writer: bool
) -> None:
    if with_writer:
        writer.start()
    try:
        accept(sample("orders_total", 1, "increment"))
        with pytest.raises(Abandoned), transaction.atomic():
            accept(sample("lost", 1), sample("orders_total", 5, "increment"), key="k")
            intake.accept_events([EventSample("lost")], now_ms=NOW_MS)
            raise Abandoned
        assert not accept(sample("orders_total", 1, "increment"), key="k").replayed
    finally:
        writer.stop()
    assert stored("lost") == {}
    assert [*stored("orders_total").values()] == [1.0, 2.0]
    assert Event.objects.count() == 0
    assert len(rung) == 2


def test_the_bell_waits_for_the_transaction(store: str, rung: list[Committed]) -> None:
    with transaction.atomic():
        accept(sample("a"))
        accept(sample("a", 2.0), now_ms=NOW_MS + 1)
        assert rung == []
    assert [one.columns.values.tolist() for one in rung] == [[1.0], [2.0]]
    assert len(stored("a")) == 2


def test_a_savepoint_takes_its_samples_with_it(store: str, rung: list[Committed]) -> None:
    with transaction.atomic():
        accept(sample("kept"))
        with pytest.raises(Abandoned), transaction.atomic():
            accept(sample("lost"))
            raise Abandoned
        with rolled_back_savepoint():
            accept(sample("lost_too"))
        accept(sample("kept_too"))
    assert [len(stored(name)) for name in ("kept", "lost", "lost_too", "kept_too")] == [1, 0, 0, 1]
    said = {(one.id, *one.columns.series.tolist()) for one in rung}
    assert said == {(id, *columns.series.tolist()) for id, columns in log.read(0, 1 << 62)}


def test_what_is_refused_leaves_the_transaction_usable(store: str, settings: Any) -> None:
    settings.SERIES_PER_METRIC = 0
    with transaction.atomic():
        with pytest.raises(Refused):
            accept(sample())
        settings.SERIES_PER_METRIC = 10
        accept(sample("kept"))
    assert len(stored("kept")) == 1


def test_the_size_of_the_log_is_known(store: str) -> None:
    assert log.size() == (0, 0)
    accept(sample(), sample(n="2"))
    assert log.size() == (1, 8 + 8 + 2 * 12)
    assert log.newest_id() == Batch.objects.get().pk
