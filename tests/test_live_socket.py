"""The live socket as its clients see it, from the welcome to the goodbye."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction

from dashboard import hub as hubs
from dashboard import protocol
from dashboard.binary_frames import UPDATE
from dashboard.frames import Form, GridFrame, Message
from dashboard.live_query import LiveQuery
from metrics import publish as publisher
from metrics.clock import now_ms
from tests import live_support
from tests.live_support import Shown
from tests.site_support import Site, publish, site, tell
from tests.support.waiting import aeventually

__all__ = ["site"]  # a fixture


@pytest.fixture(params=["pulseboard.v1", "pulseboard.v1.json"], autouse=True)
def _form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What every client here offers."""
    monkeypatch.setattr(live_support, "OFFERED", [request.param])


class TestLive:
    async def test_the_welcome_tells_the_clock_and_the_limits(self, site: Site) -> None:
        async with site.opened_by(await site.person()) as client:
            welcome = await client.hear()
        assert isinstance(welcome, protocol.Welcome)
        assert abs(welcome.server_ms - now_ms()) < 60_000
        assert (welcome.version, welcome.tick_ms, welcome.heartbeat_ms) == (1, 50, 2000)
        assert welcome.limits == protocol.Limits(65_536, 100, 11_000, 1000)

    async def test_a_heartbeat_comes_though_nothing_happens(self, site: Site) -> None:
        async with site.reading() as client:
            beat = await client.get(protocol.Heartbeat)
            assert abs(beat.server_ms - now_ms()) < 60_000

    async def test_a_snapshot_then_updates_until_unwatched(self, site: Site) -> None:
        await publish("orders", 1.0, region="eu")
        async with site.reading() as client:
            shown = Shown()
            id = await client.watch("orders")
            assert isinstance(await client.until_shown(shown, id, [1.0]), protocol.Snapshot)
            await publish("orders", 2.0, region="eu")
            await publish("orders", 3.0, region="us")
            await client.until_shown(shown, id, [2.0, 3.0])
            assert {dict(labels)["region"] for labels in shown.labels} == {"eu", "us"}
            assert shown.snapshots == 1
            await client.say(protocol.Unwatch(id))
            other = await client.watch("orders", step_ms=2000)
            await client.get(protocol.Snapshot, other)
            await publish("orders", 4.0, region="eu")
            while isinstance(frame := await client.hear(), protocol.Heartbeat):
                continue
            assert isinstance(frame, protocol.Update) and frame.id == other

    async def test_the_past_is_answered_once(self, site: Site) -> None:
        end_ms = now_ms() - 600_000
        await publish("orders", 5.0, end_ms - 1000)
        async with site.reading() as client:
            await client.say(protocol.Watch(1, "orders", 60_000, 1000, end_ms))
            frame = await client.get(protocol.Snapshot)
            assert max(frame.times) == end_ms // 1000 * 1000
            assert frame.values[0][-1] == 5.0
            await publish("orders", 6.0, end_ms - 500)
            await client.say(protocol.Watch(1, "orders", 60_000, 1000, end_ms + 1000))
            assert (await client.get(protocol.Snapshot)).values[0][-1] == 6.0

    async def test_history_from_the_log_and_the_head_is_one(self, site: Site) -> None:
        """Older than the head holds (an hour), in between, and now."""
        now = now_ms()
        for minutes in (180, 90, 59, 58, 10, 1):
            await publish("orders", float(minutes), now - minutes * 60_000)
        async with site.reading() as client:
            shown = Shown()
            id = await client.watch("orders", range_ms=4 * 3_600_000, step_ms=60_000)
            await client.until_shown(shown, id, [180.0, 90.0, 59.0, 58.0, 10.0, 1.0])

    async def test_events_the_newest_first_and_then_each_new_one(self, site: Site) -> None:
        for number in range(3):
            await tell(f"event {number}")
        async with site.reading() as client:
            await client.say(protocol.WatchEvents(1, 2))
            first = await client.get(protocol.Events)
            assert [event.title for event in first.events] == ["event 1", "event 2"]
            await tell("deployed", app="shop")
            (event,) = (await client.get(protocol.Events)).events
            assert (event.title, event.labels) == ("deployed", {"app": "shop"})

    async def test_a_new_metric_appears_in_the_list_at_once(self, site: Site) -> None:
        await publish("a", 1.0)
        async with site.reading() as client:
            await client.say(protocol.WatchMetrics(1))
            first = await client.get(protocol.Metrics)
            assert [(one.name, one.value, one.series) for one in first.metrics] == [("a", 1.0, 1)]
            assert first.metrics[0].spark
            await publish("b", 2.0, region="eu")
            (item,) = (await client.get(protocol.Metrics)).metrics
            assert (item.name, item.value, item.labels) == ("b", 2.0, {"region": "eu"})
            assert item.spark is None

    async def test_what_is_rolled_back_never_appears(self, site: Site) -> None:
        def in_a_transaction() -> None:
            try:
                with transaction.atomic():
                    publisher.gauge("orders", 666.0)
                    publisher.event("never")
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass
            with transaction.atomic():
                publisher.gauge("orders", 7.0)
                publisher.event("committed")

        async with site.reading() as client:
            shown = Shown()
            id = await client.watch("orders")
            await client.get(protocol.Snapshot)
            await client.say(protocol.WatchEvents(99))
            await sync_to_async(in_a_transaction)()
            await client.until_shown(shown, id, [7.0])
            assert {v for row in shown.values for v in row.values()} == {7.0}
            await client.say(protocol.Unwatch(99))
            await client.say(protocol.WatchEvents(100))
            frame = await client.get(protocol.Events, 100)
            assert [event.title for event in frame.events] == ["committed"]


class TestManyClients:
    async def test_one_expression_is_evaluated_once_and_sent_as_one_text(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[Message] = []
        make = GridFrame.made

        def noting(self: GridFrame, id: int, form: Form, conflated: bool = False) -> Message:
            made = make(self, id, form, conflated)
            if self.grid.kind == UPDATE:
                sent.append(made)
            return made

        monkeypatch.setattr(GridFrame, "made", noting)
        evaluations: list[int] = []
        flush = LiveQuery._evaluate

        def counting(self: LiveQuery, start_ms: int, end_ms: int) -> Any:
            evaluations.append(end_ms)
            return flush(self, start_ms, end_ms)

        async with site.reading() as one, site.opened_by(await site.person()) as other:
            for client, expr in ((one, "sum(orders)"), (other, "sum (orders)")):
                await client.watch(expr, step_ms=60_000)
                await client.get(protocol.Snapshot)
            monkeypatch.setattr(LiveQuery, "_evaluate", counting)
            await publish("orders", 5.0)
            for client in (one, other):
                [values] = (await client.get(protocol.Update)).values
                assert values[-1] == 5.0  # behind other steps, if a minute just ended
        assert len(set(map(id, sent))) == 1
        assert len(evaluations) == len({id(message) for message in sent})

    async def test_who_comes_back_gets_what_was_missed_and_only_that(self, site: Site) -> None:
        shown = Shown()
        async with site.opened_by(await site.person()) as client:
            id = await client.watch("orders", step_ms=60_000)
            await client.until_shown(shown, id, [])
        await publish("orders", 5.0)
        async with site.opened_by(await site.person("bob")) as client:
            id = await client.watch("orders", step_ms=60_000, cursor=shown.cursor)
            await client.until_shown(shown, id, [5.0])
        assert shown.snapshots == 1

    async def test_a_cursor_of_another_server_leads_to_a_snapshot(self, site: Site) -> None:
        async with site.reading() as client:
            id = await client.watch("orders", cursor="abcd:17")
            await client.get(protocol.Snapshot, id)

    async def test_nothing_stays_of_clients_that_left(self, site: Site) -> None:
        async with site.opened_by(await site.person()) as client:
            for _ in range(20):
                await client.watch("orders")
            await client.say(protocol.WatchMetrics(500))
            await client.say(protocol.WatchEvents(501))
            await client.get(protocol.Events)
            (hub,) = hubs.running()
            assert len(hub.members) == 1 and hub.metrics.watchers == 1
        await aeventually(lambda: not len(hub.members))
        assert hub.metrics.watchers == 0
        assert not hub.events.ring.readers and not hub.metrics.ring.readers
        (query,) = hub.queries._queries.values()
        assert not query.ring.readers
        assert hub.queries._watchers[query] == 0

    async def test_a_server_that_stops_tells_when_to_come_back(self, site: Site) -> None:
        async with site.opened_by(await site.person()) as client:
            await client.get(protocol.Welcome)
            site.running.server.stop()
            bye = await client.get(protocol.Bye)
            assert (bye.code, bye.reason) == (1012, "restarting")
            assert 0 < bye.retry_ms[0] < bye.retry_ms[1] <= 30_000
            assert (await client.goodbye())[0] == 1012
