"""Several processes know of each other's people, and forget those of one that was killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard import protocol
from tests.live_support import live
from tests.presence_support import AWAY, HERE, until_there
from tests.support.bells import two_bells
from tests.support.product import Product
from tests.support.store import rows
from tests.support.waiting import DEADLINE_S, aeventually
from tests.worker_support import sockets_in_each

NewServer = Callable[..., Product]

BOARD = "this-machine"
ROWS = "SELECT process FROM dashboard_present"


async def tokens(product: Product) -> tuple[str, str]:
    names = ("ann", "bob")
    ann, bob = [await asyncio.to_thread(product.token, name, "read") for name in names]
    return ann, bob


@pytest.mark.parametrize("store_kind", ["sqlite", "postgres"])
async def test_people_of_a_process_that_is_killed_are_gone(
    new_server: NewServer, store_kind: str, request: pytest.FixtureRequest
) -> None:
    variables = {"WORKERS": "2"}
    if store_kind == "postgres":
        variables["DATABASE_URL"] = request.getfixturevalue("postgres_url")
    product = await asyncio.to_thread(new_server, variables)
    ann, bob = await tokens(product)
    async with (
        sockets_in_each(product, token=ann) as anns,
        sockets_in_each(product, token=bob) as bobs,
    ):
        killed, left = sorted(anns)
        await anns[killed].say(protocol.WatchPresence(1, BOARD))
        await bobs[left].say(protocol.WatchPresence(1, BOARD, away=True))
        both = {("ann", HERE), ("bob", AWAY)}
        await asyncio.gather(until_there(anns[killed], both), until_there(bobs[left], both))
        os.kill(killed, signal.SIGKILL)
        await until_there(bobs[left], {("bob", AWAY)})
    assert await asyncio.to_thread(product.terminate) == 0
    # The row of the killed one stays until somebody who is there deletes it; it counts no more.
    assert [one for (one,) in rows(product.database_url, ROWS) if f":{left}:" in one] == []


@pytest.mark.parametrize("how", ["sqlite", "postgres", "redis"])
async def test_people_at_two_servers_on_one_store_see_each_other(
    new_server: NewServer, folder: Path, how: str, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite://{folder / 'board.sqlite3'}"
    variables = {
        "DATABASE_URL": url if how != "postgres" else request.getfixturevalue("postgres_url")
    }
    if how == "redis":
        variables["REDIS_URL"] = request.getfixturevalue("redis_url")
    one = await asyncio.to_thread(new_server, variables)
    other = await asyncio.to_thread(new_server, variables)
    ann, bob = await tokens(one)
    async with live(one.live_url, token=ann) as hers:
        await hers.say(protocol.WatchPresence(1, BOARD))
        async with live(other.live_url, token=bob) as his:
            await his.say(protocol.WatchPresence(1, BOARD))
            both = {("ann", HERE), ("bob", HERE)}
            await asyncio.gather(until_there(hers, both), until_there(his, both))
            # The same one at both servers is one.
            async with live(other.live_url, token=ann) as again:
                await again.say(protocol.WatchPresence(1, BOARD))
                await until_there(again, both)
        await until_there(hers, {("ann", HERE)})
    await aeventually(lambda: rows(variables["DATABASE_URL"], ROWS) == [])


@pytest.mark.redis
async def test_the_bell_says_that_somebody_has_come(redis_url: str) -> None:
    async with two_bells(redis_url) as (one, other):
        heard = asyncio.Event()
        other.group._on_people = heard.set
        one.group.ring(people=True)
        await asyncio.wait_for(heard.wait(), DEADLINE_S)
