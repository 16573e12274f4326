"""Whatever becomes of Redis, or of a process: every chart in every process comes to the store.

The processes, the database, the Redis-compatible server and the sockets are real. Between the
processes and Redis stands a proxy that loses, repeats and reorders rings where a test asks for it.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.fleet import Fleet, ProxyThread, Scene, scene
from tests.support.redis_proxy import Deliver, untouched
from tests.support.valkey import Valkey
from tests.support.waiting import aeventually

Noted = Callable[[str, object], None]

PAUSED_MS = 3000
HELD = 8


class World:
    """The fleet, its Redis, and the proxy between them."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.valkey = Valkey()
        self.between = ProxyThread(self.valkey.port)
        redis_url = f"redis://127.0.0.1:{self.between.proxy.port}/0"
        try:
            self.fleet = Fleet(folder, database_url, {"REDIS_URL": redis_url})
        except BaseException:
            self.between.stop()
            self.valkey.stop()
            raise

    def close(self) -> None:
        self.fleet.close()
        self.between.stop()
        self.valkey.stop()

    async def bells_ring(self) -> None:
        """Until rings come to each of the two processes, while both publish."""
        before = self.between.proxy.pushed
        await aeventually(lambda: self.between.proxy.pushed > before + 10, what="rings come")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("sqlite", marks=pytest.mark.redis),
        pytest.param("postgres", marks=[pytest.mark.redis, pytest.mark.postgres]),
    ],
)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("fleet")
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").new_database()
    else:
        url = f"sqlite://{folder / 'board.sqlite3'}"
    made = World(folder, url)
    yield made
    made.close()


def killed(world: World) -> None:
    world.valkey.kill9()


def restarted_empty(world: World) -> None:
    world.valkey.kill9()
    world.valkey.start()


def emptied(world: World) -> None:
    world.valkey.empty()


def frozen(world: World) -> None:
    world.valkey.pause()


def clients_paused(world: World) -> None:
    with world.valkey.client() as client:
        client.client_pause(PAUSED_MS)


def clients_killed(world: World) -> None:
    with world.valkey.client() as client:
        for kind in ("pubsub", "normal"):
            client.client_kill_filter(_type=kind)


def healed(world: World) -> None:
    world.valkey.start()
    world.valkey.resume()
    with world.valkey.client() as client:
        client.client_unpause()


FAULTS = [killed, restarted_empty, emptied, frozen, clients_paused, clients_killed]


def losing(share: float) -> Deliver:
    """Each ring is lost with this probability."""
    chance = random.Random(1)
    return lambda message: [] if chance.random() < share else [message]


def repeating() -> Deliver:
    return lambda message: [message] * 3


def reordering() -> Deliver:
    """Rings are held back, and let go in the opposite order."""
    held: list[bytes] = []
    lock = threading.Lock()

    def deliver(message: bytes) -> list[bytes]:
        with lock:
            held.append(message)
            if len(held) < HELD:
                return []
            going, held[:] = held[::-1], []
            return going

    return deliver


def nothing_was_noticed(around: Scene) -> None:
    """By those who watched, and by those who published."""
    assert [watcher.closed for watcher in around.watchers] == [0] * 4, "no socket closed"
    assert [watcher.went_back for watcher in around.watchers] == [0] * 4, "no step back"
    assert [publisher.refused for publisher in around.publishers] == [[], []]
    for product in around.fleet.products:
        assert "Traceback" not in product.output


@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: one.__name__)
async def test_a_fault_of_redis_is_noticed_by_nobody(
    world: World, fault: Callable[[World], None], record_property: Noted
) -> None:
    async with scene(world.fleet, on_end=lambda: healed(world)) as around:
        await asyncio.to_thread(fault, world)
        await around.everybody_sees_more()
        await asyncio.to_thread(healed, world)
        await world.bells_ring()
        await around.everybody_sees_more()
        took_s = await around.converge()
        nothing_was_noticed(around)
    record_property("converged_s", round(took_s, 2))


@pytest.mark.parametrize("fault", [killed, frozen], ids=lambda one: one.__name__)
async def test_at_rest_during_the_fault_every_chart_is_the_store(
    world: World, fault: Callable[[World], None]
) -> None:
    async with scene(world.fleet, on_end=lambda: healed(world)) as around:
        await asyncio.to_thread(fault, world)
        await around.everybody_sees_more()
        await around.converge()
        nothing_was_noticed(around)


@pytest.mark.parametrize(
    "deliver",
    [losing(0.5), losing(1.0), repeating(), reordering()],
    ids=["half-lost", "all-lost", "repeated", "reordered"],
)
async def test_rings_may_be_lost_repeated_and_reordered(
    world: World, deliver: Deliver, record_property: Noted
) -> None:
    proxy = world.between.proxy
    async with scene(world.fleet) as around:
        proxy.deliver = deliver
        try:
            await world.bells_ring()
            await around.everybody_sees_more()
            took_s = await around.converge()
        finally:
            proxy.deliver = untouched
        nothing_was_noticed(around)
    record_property("converged_s", round(took_s, 2))


async def test_a_process_that_is_killed_loses_nothing_and_stops_nobody(
    world: World, record_property: Noted
) -> None:
    staying, dying = world.fleet.products
    async with scene(world.fleet) as around:
        await asyncio.to_thread(dying.kill9)
        publisher = around.publishers[1]
        await asyncio.to_thread(publisher.finish)
        seen = around.watchers
        around.watchers = seen[:2]
        await around.everybody_sees_more()
        around.watchers = seen
        await asyncio.to_thread(dying.start)
        await around.everybody_sees_more()
        await world.bells_ring()
        took_s = await around.converge()
        assert [watcher.closed for watcher in seen[:2]] == [0, 0]
        assert all(watcher.closed for watcher in seen[2:]), "they had to come back"
        assert [watcher.went_back for watcher in seen] == [0] * 4
        assert around.publishers[0].refused == []
    assert staying.process is not None
    record_property("converged_s", round(took_s, 2))
