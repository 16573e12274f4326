"""The hub: what arrives, and what fails, while everybody watches."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.db import OperationalError

from dashboard import hub as hubs
from dashboard import protocol, queries
from dashboard.hub import Hub
from dashboard.live_query import LiveQuery
from metrics import catalog, intake, warm
from metrics.clock import now_ms
from metrics.columns import Columns
from metrics.models import Batch
from metrics.query import parse
from metrics.samples import EventSample, Sample
from tests.hub_support import hub, publish
from tests.live_support import read
from tests.support.waiting import aeventually

__all__ = ["hub"]  # a fixture

database = pytest.mark.django_db(transaction=True)


class Flushes:
    """Counts how often each live query was evaluated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of: dict[str, int] = {}
        evaluate = LiveQuery._evaluate

        def counting(query: LiveQuery, start_ms: int, end_ms: int) -> Any:
            self.of[query.expression.text] = self.of.get(query.expression.text, 0) + 1
            return evaluate(query, start_ms, end_ms)

        monkeypatch.setattr(LiveQuery, "_evaluate", counting)


def newest(query: LiveQuery) -> float | None:
    """The newest value of a query's only line, as its watchers know it."""
    entry = query.ring.after(query.ring.seq - 1) if query.ring.seq else None
    frame = read(entry.text(1)) if entry else None
    return frame.values[0][-1] if isinstance(frame, protocol.Update) else None


@database
class TestQueries:
    async def test_one_expression_is_one_query_however_it_is_written(self, hub: Hub) -> None:
        one = await hub.queries.watch(parse("sum(rate(x[1m]))"), 1000)
        same = await hub.queries.watch(parse(" sum ( rate( x [ 60s ] ) ) "), 1000)
        other = await hub.queries.watch(parse("sum(rate(x[1m]))"), 2000)
        assert one is same and one is not other
        assert len(hub.queries) == 2

    async def test_samples_are_evaluated_once_for_everybody_who_watches(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await publish("x", 1.0)
        await publish("y", 1.0)
        watched = [await hub.queries.watch(parse("x"), 1000) for _ in range(5)]
        flushes = Flushes(monkeypatch)
        monkeypatch.setattr(hub.queries, "pulse", lambda: None)
        await publish("x", 2.0)
        await aeventually(lambda: newest(watched[0]) == 2.0)
        await publish("y", 2.0)
        assert flushes.of == {"x": 1}

    async def test_a_busy_query_is_evaluated_once_a_tick(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch, settings: Any
    ) -> None:
        settings.TICK_MS = 5000
        query = await hub.queries.watch(parse("x"), 60_000)
        flushes = Flushes(monkeypatch)
        for value in range(20):
            await publish("x", float(value))
        (id,) = query.ids
        await aeventually(lambda: (hub.head.last(id) or (0, 0.0))[1] == 19.0)
        assert flushes.of == {"x": 1}
        assert newest(query) == 0.0

    async def test_a_quiet_query_does_not_wait_for_one_that_rests(
        self, hub: Hub, settings: Any
    ) -> None:
        settings.TICK_MS = 5000
        busy = await hub.queries.watch(parse("x"), 60_000)
        for value in (1.0, 2.0):
            await publish("x", value)
        await aeventually(lambda: newest(busy) == 1.0 and busy.needs_flush(now_ms()))
        settings.TICK_MS = 10
        other = await hub.queries.watch(parse("y"), 60_000)
        for value in range(3):
            await publish("y", float(value))
        await aeventually(lambda: newest(other) == 2.0, 2.0)
        assert newest(busy) == 1.0

    async def test_a_query_that_nobody_watches_ends_after_a_while(self, hub: Hub) -> None:
        await publish("x", 1.0)
        query = await hub.queries.watch(parse("x"), 1000)
        await hub.queries.watch(parse("x"), 1000)
        hub.queries.unwatch(query)
        hub.queries.expire(10**9)
        assert len(hub.queries) == 1, "somebody watches still"
        hub.queries.unwatch(query)
        assert await hub.queries.watch(parse("x"), 1000) is query, "who comes back finds it"
        hub.queries.unwatch(query)
        hub.queries.expire(10**9)
        assert len(hub.queries) == 0
        assert not hub.queries._by_series and not hub.queries._due_s and not hub.queries._dirty

    async def test_queries_are_bounded(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(queries, "MOST_QUERIES", 2)
        one = await hub.queries.watch(parse("a"), 1000)
        await hub.queries.watch(parse("b"), 1000)
        with pytest.raises(protocol.WatchRefused, match="2 different expressions") as refused:
            await hub.queries.watch(parse("c"), 1000)
        assert refused.value.code == "too_many_watches"
        hub.queries.unwatch(one)
        await hub.queries.watch(parse("c"), 1000)
        assert len(hub.queries) == 2, "one that nobody watched made room"

    async def test_a_series_that_comes_while_its_query_is_made_is_not_missed(
        self, hub: Hub
    ) -> None:
        making = asyncio.create_task(hub.queries.watch(parse("x"), 60_000))
        await publish("x", 1.0, region="eu")
        query = await making
        await publish("x", 2.0, region="us")
        await aeventually(lambda: len(query.ids) == 2 and len(query.lines) == 2)

    async def test_one_query_that_fails_does_not_stop_the_others(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        bad = await hub.queries.watch(parse("x"), 60_000)
        monkeypatch.setattr(bad, "_evaluate", lambda *_: 1 / 0)
        other = await hub.queries.watch(parse("sum(x)"), 60_000)
        await publish("x", 5.0)
        await aeventually(lambda: newest(other) == 5.0)
        assert "x could not be evaluated" in caplog.text


# -- the log and the process -----------------------------------------------------------------------


@database
class TestLife:
    async def test_what_was_stored_before_the_start_is_there(self) -> None:
        catalog.forget()
        await publish("x", 7.0)
        await intake.aaccept_events([EventSample("deployed", "", {})], now_ms=now_ms())
        catalog.forget()
        hub = await hubs.get()
        try:
            (known,) = catalog.by_name("x")
            assert hub.head.last(known.id) is not None
            events = read(hub.events.picture(10).text(1))
            assert isinstance(events, protocol.Events)
            assert [one.title for one in events.events] == ["deployed"]
        finally:
            await hub.stop()

    async def test_what_is_stored_while_it_starts_counts_after_what_it_reads(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        catalog.forget()
        at_ms = now_ms()
        await publish("x", 1.0, at_ms)
        read_recent, correct = warm.read_recent, intake.accept

        def read_then_be_corrected(since_ms: int, most: int) -> warm.RecentPast:
            past = read_recent(since_ms, most)
            correct([Sample("x", 2.0, {}, at_ms)], now_ms=at_ms)
            return past

        monkeypatch.setattr(warm, "read_recent", read_then_be_corrected)
        hub = await hubs.get()
        try:
            (known,) = catalog.by_name("x")
            await aeventually(lambda: hub.head.last(known.id) == (at_ms, 2.0))
        finally:
            await hub.stop()

    async def test_a_start_that_failed_is_tried_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: object) -> None:
            raise OperationalError("no such table")

        with monkeypatch.context() as patched:
            patched.setattr(warm, "read_recent", fails)
            with pytest.raises(OperationalError):
                await hubs.get()
        hub = await hubs.get()
        await hub.stop()

    async def test_it_leaves_no_thread_and_no_task_behind(self) -> None:
        hub = await hubs.get()
        await hub.queries.watch(parse("x"), 1000)
        await hub.stop()
        names = {thread.name for thread in threading.enumerate()}
        assert "log-tail" not in names
        assert not hubs.running()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_a_job_that_fails_goes_on(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        calls: list[int] = []

        async def job() -> None:
            calls.append(1)
            raise OperationalError("locked") if len(calls) < 3 else ZeroDivisionError

        hub._run(hub._every(0.0, job))
        await aeventually(lambda: len(calls) > 5)
        assert caplog.text.count("the database does not answer") == 1, "said once, not each time"
        assert "a job of the hub failed" in caplog.text

    async def test_batches_of_another_process_are_found_in_the_log(self, hub: Hub) -> None:
        """Written past the bell, as another process does; with a series never heard of."""
        query = await hub.queries.watch(parse("x"), 60_000)
        await publish("x", 1.0)
        (known,) = catalog.by_name("x")
        columns = Columns.of([known.id], [now_ms()], [2.0])
        await Batch.objects.acreate(
            received_at_ms=now_ms(), start_ms=int(columns.times[0]), end_ms=int(columns.times[0]),
            count=1, data=columns.pack(),
        )  # fmt: skip
        await aeventually(lambda: newest(query) == 2.0)
