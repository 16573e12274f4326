"""Who is on a dashboard, over every way there is to watch it, against the whole application."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from websockets.exceptions import ConnectionClosed

from dashboard import presence, protocol
from dashboard.models import Dashboard, Present, Share
from tests.fallback_support import events, poll
from tests.live_support import LiveClient, live
from tests.presence_support import AWAY, HERE, people, until_there
from tests.site_support import Site, site
from tests.support.waiting import aeventually

__all__ = ["site"]  # a fixture

SHOP = protocol.WatchPresence(1, "shop")


@pytest.fixture(autouse=True)
async def _shop(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dashboard; who leaves it is gone soon."""
    monkeypatch.setattr(presence, "LINGER_S", 0.2)
    await Dashboard.objects.acreate(slug="shop", title="Shop")


async def enters(client: LiveClient, frame: protocol.WatchPresence = SHOP) -> protocol.Presence:
    await client.say(frame)
    return await client.get(protocol.Presence, frame.id)


class TestRefusals:
    @pytest.mark.parametrize("board", ["nowhere", "Shop", "shop-2"])
    async def test_a_dashboard_that_does_not_exist_has_nobody(self, site: Site, board: str) -> None:
        async with site.reading() as client:
            await client.say(protocol.WatchPresence(1, board))
            error = await client.get(protocol.Error, 1)
            assert (error.code, "no such dashboard" in error.message) == ("forbidden", True)
            assert people(await enters(client)), "the id is free again"

    @pytest.mark.parametrize("board", ["", "a b", "<script>", "\0", "x" * 81])
    async def test_what_cannot_be_a_name_of_one_is_named(self, site: Site, board: str) -> None:
        async with site.reading() as client:
            await client.say(protocol.WatchPresence(1, board))
            error = await client.get(protocol.Error)
            assert error.code == "bad_message"
            assert "board: expected str matching" in error.message

    async def test_nobody_and_a_publishing_token_are_kept_out(self, site: Site) -> None:
        async with live(site.url) as client:
            await client.say(SHOP)
            assert (await client.goodbye())[0] == 4401
        publishing = await site.token("publish")
        async with live(site.url) as client:
            with pytest.raises(ConnectionClosed) as closed:
                await client.hello(publishing)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4403

    async def test_who_sees_only_what_is_shared_sees_nobody_elsewhere(
        self, site: Site, settings: Any
    ) -> None:
        settings.READ_ALL = False
        ann = await site.person("ann")
        other = await Dashboard.objects.acreate(slug="other", title="Other")
        async with site.opened_by(ann) as client:
            await client.say(SHOP)
            refused = await client.get(protocol.Error, 1)
            await client.say(protocol.WatchPresence(1, "nowhere"))
            assert await client.get(protocol.Error, 1) == refused, "it is not told from nothing"
            await Share.objects.acreate(dashboard=other, user=ann.user)
            await enters(client, protocol.WatchPresence(1, "other"))
            await Share.objects.all().adelete()
            assert (await client.get(protocol.Error, 1)).code == "forbidden", "the watch has ended"

    async def test_who_was_disabled_sees_nobody_and_is_not_seen(self, site: Site) -> None:
        ann, bob = await site.person("ann"), await site.person("bob")
        async with site.opened_by(ann) as hers, site.opened_by(bob) as his:
            await enters(hers)
            await enters(his)
            await until_there(hers, {("ann", HERE), ("bob", HERE)})
            bob.user.is_active = False
            await bob.user.asave()
            assert (await his.goodbye())[0] == 4401
            await until_there(hers, {("ann", HERE)})


class TestPeople:
    async def test_several_tabs_of_a_person_are_counted_once(self, site: Site) -> None:
        ann, bob = await site.person("ann"), await site.person("bob")
        async with site.opened_by(bob) as his, AsyncExitStack() as tabs:
            assert people(await enters(his)) == {("bob", HERE)}
            for _ in range(3):
                await enters(await tabs.enter_async_context(site.opened_by(ann)))
            await until_there(his, {("ann", HERE), ("bob", HERE)})
            await tabs.aclose()
            await until_there(his, {("bob", HERE)})

    async def test_two_watches_on_one_socket_are_one_person(self, site: Site) -> None:
        async with site.opened_by(await site.person("ann")) as client:
            await enters(client)
            again = await enters(client, protocol.WatchPresence(2, "shop"))
            assert people(again) == {("ann", HERE)}

    async def test_who_hides_the_page_is_away_and_changes_that_on_the_same_socket(
        self, site: Site
    ) -> None:
        ann, bob = await site.person("ann"), await site.person("bob")
        async with site.opened_by(ann) as hers, site.opened_by(bob) as his:
            await enters(his)
            await enters(hers)
            for id, away in ((2, AWAY), (3, HERE), (4, AWAY)):
                await hers.say(protocol.Unwatch(id - 1))
                await enters(hers, protocol.WatchPresence(id, "shop", away=away))
                await until_there(his, {("ann", away), ("bob", HERE)})

    async def test_a_token_sees_who_is_there_and_is_shown_as_what_it_is(self, site: Site) -> None:
        async with (
            site.opened_by(await site.person("ann")) as hers,
            live(site.url, token=await site.token(name="hall screen")) as screen,
        ):
            await enters(hers)
            frame = await enters(screen)
            assert {one.name: one.kind for one in frame.people} == {
                "ann": "person", "hall screen": "token",
            }  # fmt: skip

    async def test_each_dashboard_has_its_own_people(self, site: Site) -> None:
        await Dashboard.objects.acreate(slug="other", title="Other")
        ann, bob = await site.person("ann"), await site.person("bob")
        async with site.opened_by(ann) as hers, site.opened_by(bob) as his:
            await enters(hers)
            assert people(await enters(his, protocol.WatchPresence(1, "other"))) == {("bob", HERE)}
            again = await enters(hers, protocol.WatchPresence(2, "shop"))
            assert people(again) == {("ann", HERE)}

    async def test_a_hostile_name_arrives_as_the_text_it_is(self, site: Site) -> None:
        name = '<b>"id":0,\u202e'
        async with live(site.url, token=await site.token(name=name)) as client:
            frame = await enters(client)
            assert [one.name for one in frame.people] == [name]


class TestFallbacks:
    async def test_who_has_a_stream_is_there(self, site: Site) -> None:
        ann, bob = await site.person("ann"), await site.person("bob")
        async with site.opened_by(bob) as his:
            await enters(his)
            async with events(site, ann, SHOP) as stream:
                await until_there(stream, {("ann", HERE), ("bob", HERE)})
                await until_there(his, {("ann", HERE), ("bob", HERE)})
                hidden = protocol.WatchPresence(2, "shop", away=True)
                assert (await stream.say(protocol.Unwatch(1), hidden)).status == 200
                await until_there(his, {("ann", AWAY), ("bob", HERE)})
            await until_there(his, {("bob", HERE)})

    async def test_who_polls_is_there_also_between_two_polls(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(presence, "LINGER_S", 60.0)
        ann, bob = await site.person("ann"), await site.person("bob")
        async with site.opened_by(bob) as his:
            await enters(his)
            [first] = (await poll(site, ann, SHOP)).of(protocol.Presence)
            assert ("ann", HERE) in people(first)
            told = await until_there(his, {("ann", HERE), ("bob", HERE)})
            cursor = told.cursor
            for _ in range(3):
                polled = protocol.WatchPresence(1, "shop", cursor=cursor)
                answer = await poll(site, ann, polled, wait_ms=300)
                assert not answer.of(protocol.Presence), "nothing has changed"
            again = await enters(his, protocol.WatchPresence(2, "shop"))
            assert again.cursor == cursor, "nobody was told of a poll that ended"


class TestRows:
    async def test_there_is_a_row_only_while_somebody_is_there(self, site: Site) -> None:
        assert not await Present.objects.aexists()
        async with site.reading() as client:
            assert not await Present.objects.aexists()
            await enters(client)
            await aeventually(Present.objects.aexists)
        await aeventually(sync_to_async(lambda: not Present.objects.exists()))

    async def test_a_server_that_stops_leaves_none(self, site: Site) -> None:
        async with site.reading() as client:
            await enters(client)
            await aeventually(Present.objects.aexists)
            await site.running.stop()
            assert not await Present.objects.aexists()
