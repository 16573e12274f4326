"""Watching where no WebSocket can be opened: what is shown, when it ends, what it may cost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest
from asgiref.sync import sync_to_async

from dashboard import fallback_poll, fallback_stream, hub, protocol
from dashboard.http_protocol import HttpConnection
from dashboard.protocol import Close
from metrics.models import Source
from tests.fallback_support import (
    ask,
    events,
    page_headers,
    poll,
    poll_until_shown,
    refused,
    request,
    watch,
)
from tests.live_support import Shown
from tests.site_support import PASSWORD, Person, Site, publish, site, tell
from tests.support.waiting import aeventually

__all__ = ["site"]  # a fixture


class TestServerSentEvents:
    async def test_history_then_what_is_published(self, site: Site) -> None:
        await publish("orders", 1)
        shown = Shown()
        async with events(site, await site.person()) as stream:
            await stream.say(watch(7, "orders"))
            shown.take(await stream.get(protocol.Snapshot, 7))
            await publish("orders", 2)
            await stream.until_shown(shown, 7, {2})
            await stream.get(protocol.Heartbeat)
        assert shown.snapshots == 1

    async def test_no_proxy_is_to_hold_it_back(self, site: Site) -> None:
        async with events(site, await site.token(), method="GET") as stream:
            headers = stream.wire.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["x-accel-buffering"] == "no"
        assert headers["cache-control"] == "no-store, no-transform"

    async def test_who_comes_back_with_a_cursor_gets_what_was_missed_and_nothing_else(
        self, site: Site
    ) -> None:
        token = await site.token()
        await publish("orders", 1)
        shown = Shown()
        async with events(site, token, watch(1, "orders")) as stream:
            await stream.until_shown(shown, 1, {1})
        await publish("orders", 2)
        await publish("orders", 3)
        async with events(site, token, watch(1, "orders", shown.cursor)) as stream:
            await stream.until_shown(shown, 1, {3})
        assert shown.snapshots == 1

    async def test_events_and_the_list_of_metrics(self, site: Site) -> None:
        asked = protocol.WatchEvents(1), protocol.WatchMetrics(2)
        async with events(site, await site.token(), *asked) as stream:
            assert (await stream.get(protocol.Events)).events == []
            await tell("deployed")
            assert [one.title for one in (await stream.get(protocol.Events)).events] == ["deployed"]

    async def test_a_reader_that_left_is_forgotten(self, site: Site) -> None:
        async with events(site, await site.token(), watch(1, "x")):
            (one,) = hub.running()
            assert len(one.members) == 1
        await aeventually(lambda: not len(one.members) and not fallback_stream._streams)

    async def test_the_servers_goodbye_comes_before_the_end(self, site: Site) -> None:
        async with events(site, await site.token(), watch(1, "x")) as stream:
            stopping = asyncio.create_task(site.running.stop())
            bye = await stream.get(protocol.Bye)
            assert bye.code == Close.RESTART and bye.retry_ms[0] <= bye.retry_ms[1]
            assert (await stream.goodbye())[0] == Close.RESTART
            await stopping

    async def test_a_server_that_cannot_push_back_does_not_stream(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(HttpConnection, "become_stream", None)
        answer = await ask(site, "/live/events", {}, await site.token())
        assert refused(answer, 501, "use /live/poll")


class TestLongPolling:
    async def test_without_watches_it_is_a_welcome_and_the_clock(self, site: Site) -> None:
        first, last = (await poll(site, await site.person())).frames
        assert isinstance(first, protocol.Welcome) and isinstance(last, protocol.Heartbeat)

    async def test_history_then_what_is_published_when_it_is(self, site: Site) -> None:
        ann = await site.person()
        await publish("orders", 1)
        shown = Shown()
        await poll_until_shown(site, ann, shown, {1}, "orders")
        waiting = asyncio.create_task(poll_until_shown(site, ann, shown, {2}, "orders"))
        (one,) = hub.running()
        await aeventually(lambda: len(one.members), what="the poll waits")
        await publish("orders", 2)
        await waiting
        assert shown.snapshots == 1

    async def test_the_first_answer_has_all_snapshots(self, site: Site) -> None:
        asked = [watch(id, f'orders{{shop="{id}"}}') for id in range(1, 13)]
        answer = await poll(site, await site.token(), *asked)
        assert {frame.id for frame in answer.of(protocol.Snapshot)} == set(range(1, 13))

    async def test_nothing_new_is_said_too_when_the_wait_is_over(self, site: Site) -> None:
        token = await site.token()
        events_watch = protocol.WatchEvents(1)
        (first,) = (await poll(site, token, events_watch)).of(protocol.Events)
        again = protocol.WatchEvents(1, cursor=first.cursor)
        answer = await poll(site, token, again, wait_ms=100)
        assert [type(frame) for frame in answer.frames] == [protocol.Heartbeat]

    async def test_the_list_of_metrics_goes_on_between_polls(self, site: Site) -> None:
        token = await site.token()
        await publish("orders", 1)
        await publish("visits", 1)
        (first,) = (await poll(site, token, protocol.WatchMetrics(1))).of(protocol.Metrics)
        assert {item.name for item in first.metrics} >= {"orders", "visits"}
        await publish("orders", 2)
        answer = await poll(site, token, protocol.WatchMetrics(1, first.cursor))
        (update,) = answer.of(protocol.Metrics)
        assert [(item.name, item.value) for item in update.metrics] == [("orders", 2)]

    async def test_a_past_range_is_answered_once(self, site: Site) -> None:
        at_ms = await publish("orders", 4)
        asked = watch(1, "orders", end_ms=at_ms + 1000)
        (snapshot,) = (await poll(site, await site.token(), asked)).of(protocol.Snapshot)
        assert [row[-1] for row in snapshot.values] == [4]

    async def test_refused_watches_are_errors_among_the_frames(self, site: Site) -> None:
        answer = await poll(site, await site.token(), watch(1, "sum("), watch(2, "x"))
        assert [error.code for error in answer.of(protocol.Error, 1)] == ["bad_expression"]
        assert answer.of(protocol.Snapshot, 2)

    async def test_an_answer_is_bounded_and_the_next_poll_goes_on(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fallback_poll, "ANSWER_BYTES", 1)
        token = await site.token()
        wanted = [watch(id, f'orders{{shop="{id}"}}') for id in (1, 2, 3)]
        seen: set[int] = set()
        while len(seen) < 3:
            left = [one for one in wanted if one.id not in seen]
            (snapshot,) = (await poll(site, token, *left)).of(protocol.Snapshot)
            seen.add(snapshot.id)

    async def test_whoever_hangs_up_is_forgotten(self, site: Site) -> None:
        token = await site.token()
        (first,) = (await poll(site, token, protocol.WatchEvents(1))).of(protocol.Events)
        asked = {"watches": [protocol.WatchEvents(1, cursor=first.cursor)]}
        waiting = asyncio.create_task(ask(site, "/live/poll", asked, token))
        (one,) = hub.running()
        await aeventually(lambda: len(one.members), what="the poll waits")
        waiting.cancel()
        await aeventually(lambda: not len(one.members), what="it is forgotten")

    async def test_the_servers_goodbye_is_an_answer(self, site: Site) -> None:
        token = await site.token()
        (first,) = (await poll(site, token, protocol.WatchEvents(1))).of(protocol.Events)
        again = protocol.WatchEvents(1, cursor=first.cursor)
        waiting = asyncio.create_task(poll(site, token, again))
        (one,) = hub.running()
        await aeventually(lambda: len(one.members), what="the poll waits")
        await site.running.stop()
        (bye,) = (await waiting).of(protocol.Bye)
        assert bye.code == Close.RESTART


def sign_out(person: Person) -> None:
    person.browser.post("/signout/")


def change_password(person: Person) -> None:
    person.user.set_password(PASSWORD + "!")
    person.user.save()


def deactivate_elsewhere(person: Person) -> None:
    """As another process does: no signal is sent here."""
    type(person.user)._default_manager.filter(pk=person.user.pk).update(is_active=False)


class TestRightsThatGo:
    @pytest.mark.parametrize("deed", [sign_out, change_password, deactivate_elsewhere])
    async def test_a_persons_stream_ends_with_the_reason(
        self, site: Site, deed: Callable[[Person], None]
    ) -> None:
        ann = await site.person()
        async with events(site, ann, watch(1, "x")) as stream:
            await stream.get(protocol.Snapshot, 1)
            await sync_to_async(deed)(ann)
            code, reason = await stream.goodbye()
            assert code == Close.UNAUTHENTICATED and reason
            assert (await stream.say(watch(2, "x"))).status == 401

    async def test_a_poll_that_waits_is_refused(self, site: Site) -> None:
        token = await site.token()
        (first,) = (await poll(site, token, protocol.WatchEvents(1))).of(protocol.Events)
        again = protocol.WatchEvents(1, cursor=first.cursor)
        waiting = asyncio.create_task(poll(site, token, again))
        (one,) = hub.running()
        await aeventually(lambda: len(one.members), what="the poll waits")
        source = await Source.objects.aget()
        source.active = False
        await source.asave()
        assert refused(await waiting, 401, "revoked")


class TestReadersThatDoNotRead:
    async def test_a_stuck_stream_is_cut_and_costs_a_bounded_buffer(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(HttpConnection, "stream_drain_timeout_s", 0.3)
        token = await site.token()
        await publish("orders", 1)
        async with await site.running.dial(receive_bytes=4096) as peer:
            asked = b'{"watches": []}'
            head = page_headers(site, token)
            await peer.send(request(site, "POST", "/live/events", head, asked))
            await aeventually(lambda: fallback_stream._streams)
            (stream,) = fallback_stream._streams.values()
            (connection,) = [one for one in site.running.connections if one.transport]
            largest, ids = 0, itertools.count(1)

            async def is_cut() -> bool:
                nonlocal largest
                id = next(ids)
                await stream._talk.take(watch(id, "orders", range_ms=3_600_000))
                await stream._talk.take(protocol.Unwatch(max(1, id - 4)))
                if not connection.transport.is_closing():
                    largest = max(largest, connection.transport.get_write_buffer_size())
                return not fallback_stream._streams

            await aeventually(is_cut, what="it is cut")
        frame_bytes = 3600 * 40
        assert 0 < largest <= 64 * 1024 + 2 * frame_bytes
        (one,) = hub.running()
        await aeventually(lambda: not len(one.members))


class TestMistakesOfOurs:
    async def test_a_frame_that_cannot_be_made_ends_a_stream_and_a_poll_with_a_sentence(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(self: object, most_bytes: int) -> None:
            raise ZeroDivisionError("oops")

        token = await site.token()
        async with events(site, token) as stream:
            monkeypatch.setattr("dashboard.connection.Connection._next", fail)
            await stream.say(watch(1, "x"))
            code, reason = await stream.goodbye()
        assert code == Close.INTERNAL and "oops" not in reason
        answer = await poll(site, token, watch(1, "x"))
        assert refused(answer, 500, "a mistake of ours")
