"""A right goes in the middle of something: a snapshot, a beginning watch, a stream, a poll."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from dashboard import fallback_poll, hub, protocol
from tests.fallback_support import events, poll, watch
from tests.sharing_deeds import unshare
from tests.sharing_support import SECRET, WAGES, Recorder, limited
from tests.site_support import Site, publish, site
from tests.support.waiting import DEADLINE_S, aeventually

__all__ = ["site"]  # a fixture


@pytest.fixture(autouse=True)
def not_all(settings: Any) -> None:
    settings.READ_ALL = False


async def test_a_snapshot_that_is_being_made_is_not_sent(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await limited(site)
    await publish("wages", SECRET)
    (here,) = hub.running()
    made, hold = asyncio.Event(), asyncio.Event()
    evaluate = here.queries.pictures._evaluate

    async def slowly(*args: Any) -> Any:
        matrix = await evaluate(*args)
        made.set()
        await hold.wait()
        return matrix

    monkeypatch.setattr(here.queries.pictures, "_evaluate", slowly)
    async with site.opened_by(ann) as client:
        everything = Recorder(client)
        b = await client.watch(WAGES, end_ms=2_000_000_000_000)
        await asyncio.wait_for(made.wait(), DEADLINE_S)
        await sync_to_async(unshare)(ann.user)
        assert (await client.get(protocol.Error, b)).code == "forbidden"
        hold.set()
        await client.get(protocol.Snapshot, await client.watch("orders"))
        assert [type(frame) for frame in everything.of(b)] == [protocol.Error]
        assert not everything.holds(str(SECRET))


async def test_a_watch_that_begins_while_the_right_goes_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await limited(site)
    await publish("wages", SECRET)
    (here,) = hub.running()
    begun, hold = asyncio.Event(), asyncio.Event()
    begin = here.queries.watch

    async def slowly(expression: Any, step_ms: int) -> Any:
        if expression.text == WAGES:
            begun.set()
            await hold.wait()
        return await begin(expression, step_ms)

    monkeypatch.setattr(here.queries, "watch", slowly)
    async with site.opened_by(ann) as client, site.opened_by(ann) as other:
        everything = Recorder(client)
        shown = await other.watch(WAGES, end_ms=2_000_000_000_000, range_ms=1000)
        await other.get(protocol.Snapshot, shown)
        events_of_b = protocol.WatchEvents(100)
        await other.say(events_of_b)
        await other.get(protocol.Events)
        b = await client.watch(WAGES)
        await asyncio.wait_for(begun.wait(), DEADLINE_S)
        await sync_to_async(unshare)(ann.user)
        await other.get(protocol.Error, 100)  # by now it is known that the right is gone
        hold.set()
        assert (await client.get(protocol.Error, b)).code == "forbidden"
        await client.get(protocol.Snapshot, await client.watch("orders"))
        assert [type(frame) for frame in everything.of(b)] == [protocol.Error]
    assert not any(here.queries._watchers.values()), "nobody watches any longer"


async def test_a_stream_ends_the_same_watches(site: Site) -> None:
    ann = await limited(site)
    await publish("orders", 1.0)
    async with events(site, ann, watch(1, "orders"), watch(2, WAGES)) as stream:
        await stream.get(protocol.Snapshot, 2)
        await sync_to_async(unshare)(ann.user)
        assert (await stream.get(protocol.Error, 2)).code == "forbidden"
        await publish("wages", SECRET)
        await publish("orders", 5.0)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                frame = await stream.hear()
                assert getattr(frame, "id", None) in (1, None)
                if isinstance(frame, protocol.Update) and any(5.0 in row for row in frame.values):
                    break
        await stream.say(watch(3, WAGES))
        assert (await stream.get(protocol.Error, 3)).code == "forbidden"


async def test_a_poll_keeps_nothing_back_that_may_not_be_seen_any_longer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback_poll, "SNAPSHOTS_S", 3600.0)
    ann = await limited(site)
    await publish("wages", SECRET)
    (here,) = hub.running()
    hold = asyncio.Event()
    newest = here.queries.pictures.newest

    async def slowly(query: Any, range_ms: int) -> Any:
        if query.expression.text == "orders":
            await hold.wait()
        return await newest(query, range_ms)

    monkeypatch.setattr(here.queries.pictures, "newest", slowly)
    polling = asyncio.create_task(poll(site, ann, watch(1, WAGES), watch(2, "orders")))

    def gathered() -> bool:
        return any(
            one.watches and one.watches.keys() == {1, 2} and one.watches[1].begun
            for one in here.members
        )

    await aeventually(gathered, what="the poll has the wages and waits for the orders")
    await sync_to_async(unshare)(ann.user)
    await aeventually(lambda: all(1 not in one.watches for one in here.members))
    hold.set()
    answer = await polling
    assert [frame.code for frame in answer.of(protocol.Error, 1)] == ["forbidden"]
    assert not answer.of(protocol.Snapshot, 1) and answer.of(protocol.Snapshot, 2)
    assert str(SECRET).encode() not in answer.body
