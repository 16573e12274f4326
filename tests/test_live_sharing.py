"""Who sees only some dashboards is shown no more, and nothing from the moment when a right goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer

from dashboard import hub, protocol
from dashboard.layers import BELL_GROUP
from dashboard.models import Share
from tests.live_support import LiveClient
from tests.sharing_deeds import ELSEWHERE, TOLD, nothing, unshare
from tests.sharing_support import SECRET, WAGES, Deed, Recorder, limited, share_b
from tests.site_support import Person, Site, publish, site, tell
from tests.support.waiting import DEADLINE_S, aeventually

__all__ = ["site"]  # a fixture


@pytest.fixture(autouse=True)
def not_all(settings: Any) -> None:
    settings.READ_ALL = False


@pytest.fixture
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a watch then is told, and not found by the look of each half second."""
    monkeypatch.setattr(hub, "RIGHTS_S", 3600.0)


async def shows(client: Any, id: int, value: float) -> None:
    """Publishes this value of orders, until the watch has shown it."""
    await publish("orders", value)
    async with asyncio.timeout(DEADLINE_S):
        while not any(value in row for row in (await client.get(protocol.Update, id)).values):
            pass


@pytest.mark.parametrize("way", TOLD)
@pytest.mark.usefixtures("nobody_looks")
async def test_what_is_shared_no_longer_ends_at_once(site: Site, way: str) -> None:
    await nothing_of_b_comes_after(site, *TOLD[way])


@pytest.mark.parametrize("way", ELSEWHERE)
async def test_what_others_take_away_ends_soon(site: Site, way: str) -> None:
    await nothing_of_b_comes_after(site, *ELSEWHERE[way])


async def nothing_of_b_comes_after(site: Site, before: Deed, deed: Deed) -> None:
    ann = await limited(site, before)
    await publish("orders", 1.0)
    await publish("wages", 2.0)
    async with site.opened_by(ann, subprotocols=["pulseboard.v1.json"]) as client:
        everything = Recorder(client)
        a, b = await client.watch("orders"), await client.watch(WAGES)
        await client.say(protocol.WatchEvents(100))
        await client.get(protocol.Events, 100)
        await publish("wages", 3.0)
        await aeventually(lambda: _until_value(client, everything, b, 3.0))
        await sync_to_async(deed)(ann.user)
        await _both_end(client, everything, b)
        everything.messages.clear()
        await publish("wages", SECRET)
        await tell("a secret")
        await shows(client, a, 4.0)
        again = await client.watch(WAGES, cursor="00000001:1")
        assert (await client.get(protocol.Error, again)).code == "forbidden"
        await shows(client, a, 5.0)
        assert not everything.of(b) and not everything.of(100)
        assert not everything.holds(str(SECRET)) and not everything.holds("a secret")
    async with site.opened_by(ann) as client:
        refused = await client.get(protocol.Error, await client.watch(WAGES))
        assert (refused.code, refused.message) == (
            "forbidden",
            "this expression is not on a dashboard that is shared with you",
        )


async def _until_value(client: LiveClient, everything: Recorder, id: int, value: float) -> bool:
    await client.hear()
    return everything.holds(str(value))


async def _both_end(client: LiveClient, everything: Recorder, id: int) -> None:
    """Until the watch of the wages and that of the events were ended."""

    def ended() -> set[int | None]:
        frames = [*everything.of(id), *everything.of(100)]
        return {frame.id for frame in frames if isinstance(frame, protocol.Error)}

    async with asyncio.timeout(DEADLINE_S):
        while ended() != {id, 100}:
            await client.hear()


@pytest.mark.usefixtures("nobody_looks")
async def test_what_another_process_tells_of_ends_it_at_once(site: Site) -> None:
    layer: Any = get_channel_layer()
    ann = await limited(site)
    _, quiet = ELSEWHERE["the share is deleted"]
    async with site.opened_by(ann) as client:
        id = await client.watch(WAGES)
        await client.get(protocol.Snapshot, id)
        await sync_to_async(quiet)(ann.user)
        ended = asyncio.create_task(client.get(protocol.Error, id))

        async def told() -> bool:
            await layer.group_send(BELL_GROUP, {"type": "bell", "rights": "changed"})
            return ended.done()

        await aeventually(told)
        assert (await ended).code == "forbidden"


@pytest.mark.usefixtures("nobody_looks")
async def test_what_is_shared_is_shown_at_once(site: Site) -> None:
    ann = await limited(site, nothing)
    async with site.opened_by(ann) as client:
        refused = await client.get(protocol.Error, await client.watch(WAGES))
        assert refused.code == "forbidden"
        await sync_to_async(share_b)(ann.user)
        await client.get(protocol.Snapshot, await client.watch(WAGES))


async def test_others_go_on(site: Site) -> None:
    """Somebody else with the same dashboard, a reading token, and another tab on dashboard A."""
    ann = await limited(site)
    bob: Person = await site.person("bob")
    await sync_to_async(share_b)(bob.user)
    async with (
        site.opened_by(ann) as leaving,
        site.opened_by(ann) as tab,
        site.opened_by(bob) as staying,
        site.reading() as reader,
    ):
        gone, a = await leaving.watch(WAGES), await tab.watch("orders")
        ids = [(client, await client.watch(WAGES)) for client in (staying, reader)]
        await leaving.get(protocol.Snapshot, gone)
        await sync_to_async(Share.objects.filter(user=ann.user, dashboard__slug="b").delete)()
        await leaving.get(protocol.Error, gone)
        await publish("wages", 9.0)
        async with asyncio.timeout(DEADLINE_S):
            for client, id in ids:
                while not any(9.0 in row for row in (await client.get(protocol.Update, id)).values):
                    pass
        await shows(tab, a, 5.0)


async def test_who_looks_is_no_longer_on_a_dashboard_that_they_may_not_see(site: Site) -> None:
    ann = await limited(site)
    async with site.opened_by(ann) as client, site.reading() as reader:
        await client.say(protocol.WatchPresence(1, "b"))
        await client.get(protocol.Presence)
        await sync_to_async(unshare)(ann.user)
        ended = await client.get(protocol.Error, 1)
        assert (ended.code, ended.message) == (
            "forbidden",
            "there is no such dashboard that you may see",
        )
        await reader.say(protocol.WatchPresence(1, "b"))
        async with asyncio.timeout(DEADLINE_S):
            while "ann" in {one.name for one in (await reader.get(protocol.Presence)).people}:
                pass
