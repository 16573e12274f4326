"""What is shared no longer ends in every process, with Redis between them and without."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard import protocol
from tests.live_support import live
from tests.sharing_support import SECRET, WAGES, Recorder
from tests.support.fleet import Fleet
from tests.support.valkey import Valkey
from tests.support.waiting import DEADLINE_S
from tests.test_redis_rights import Browser
from tests.worker_support import publish

BEGIN = """
from django.contrib.auth.models import Group, User
from dashboard.models import Dashboard, Panel, Share
"""
PREPARE = """
Dashboard.objects.filter(slug__in="ab").delete()
team, _ = Group.objects.get_or_create(name="team")
ann, _ = User.objects.get_or_create(username="ann")
root, _ = User.objects.get_or_create(username="root", is_superuser=True, is_staff=True)
for user in (ann, root):
    user.set_password({password!r})
    user.save()
ann.groups.set([team])
for slug, expr in (("a", "orders"), ("b", "sum(wages)")):
    board = Dashboard.objects.create(slug=slug, title=slug)
    Panel.objects.create(dashboard=board, title="panel", expr=expr)
    Share.objects.create(dashboard=board, **({{"group": team}} if slug == "b" else {{"user": ann}}))
print(team.pk, board.pk)
"""


class World:
    """A fleet, Ann who sees two dashboards, and an admin."""

    def __init__(self, folder: Path, url: str, variables: dict[str, str]) -> None:
        self.fleet = Fleet(folder, url, {"READ_ALL": "0", **variables})
        self.here, self.there = self.fleet.products
        self._password = secrets.token_hex()
        self.team = self.board = ""

    def prepare(self) -> str:
        """Everything is shared (again); Ann's cookie."""
        said = self.elsewhere(PREPARE.format(password=self._password))
        self.team, self.board = said.split()
        return self.sign_in("ann").cookie

    def sign_in(self, name: str) -> Browser:
        browser = Browser(self.here)
        browser.post("/signin/", {"username": name, "password": self._password})
        return browser

    def elsewhere(self, code: str) -> str:
        """A process without sockets does it."""
        return self.here.manage("shell", "--no-imports", "-c", BEGIN + code)

    def in_the_admin(self, path: str) -> None:
        """The admin deletes it, at the process where Ann's socket is not."""
        self.sign_in("root").post(f"/admin/{path}/delete/", {"post": "yes"})

    def publish(self, metric: str, value: float) -> None:
        assert publish(self.here, self.fleet.publishing, metric, value)


def by_code(code: str) -> Callable[[World], None]:
    def run(world: World) -> None:
        world.elsewhere(code)

    return run


def delete_the_team(world: World) -> None:
    world.in_the_admin(f"auth/group/{world.team}")


def delete_the_dashboard(world: World) -> None:
    world.in_the_admin(f"dashboard/dashboard/{world.board}")


@pytest.fixture(
    scope="module",
    params=[
        "tail",
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("postgres", marks=pytest.mark.postgres),
    ],
)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("fleet")
    url = f"sqlite://{folder / 'board.sqlite3'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").new_database()
    valkey = Valkey() if request.param == "redis" else None
    made = None
    try:
        made = World(folder, url, {"REDIS_URL": valkey.url} if valkey else {})
        yield made
    finally:
        if made is not None:
            made.fleet.close()
        if valkey is not None:
            valkey.stop()


@pytest.mark.parametrize(
    "deed",
    [
        by_code('Share.objects.get(dashboard__slug="b").delete()'),
        by_code('User.objects.get(username="ann").groups.clear()'),
        by_code('Panel.objects.filter(dashboard__slug="b").update(expr="wages_of_others")'),
        delete_the_team,
        delete_the_dashboard,
    ],
    ids=["share", "membership", "panel", "team", "dashboard"],
)
async def test_nothing_comes_of_what_is_shared_no_longer(
    world: World, deed: Callable[[World], None], record_property: Callable[[str, Any], None]
) -> None:
    cookie = await asyncio.to_thread(world.prepare)
    await asyncio.to_thread(world.publish, "orders", 1.0)
    await asyncio.to_thread(world.publish, "wages", 2.0)
    origin = world.there.base_url
    async with live(world.there.live_url, cookie=cookie, origin=origin) as client:
        everything = Recorder(client)
        a, b = await client.watch("orders"), await client.watch(WAGES)
        await client.get(protocol.Snapshot, b)
        ending = asyncio.create_task(client.get(protocol.Error, b))
        await asyncio.to_thread(deed, world)
        done_s = time.monotonic()
        assert (await ending).code == "forbidden"
        record_property("ended_after_s", round(time.monotonic() - done_s, 3))
        everything.messages.clear()
        await asyncio.to_thread(world.publish, "wages", SECRET)
        await asyncio.to_thread(world.publish, "orders", 4.0)
        async with asyncio.timeout(DEADLINE_S):
            while not any(4.0 in row for row in (await client.get(protocol.Update, a)).values):
                pass
        assert not everything.of(b) and not everything.holds(str(SECRET))
    async with live(world.there.live_url, cookie=cookie, origin=origin) as client:
        refused = await client.get(protocol.Error, await client.watch(WAGES))
        assert refused.code == "forbidden"
