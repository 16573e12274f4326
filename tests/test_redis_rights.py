"""Rights that go in one process end the sockets in another, with Redis between them and without."""

from __future__ import annotations

import asyncio
import re
import secrets
import sqlite3
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from dashboard import protocol
from dashboard.protocol import Close
from tests.live_support import live
from tests.support.fleet import Fleet
from tests.support.product import COMMAND_S, Product
from tests.support.valkey import Valkey

FORM_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')

# What a process without sockets does; no signal of Django's is sent.
DEACTIVATE = "UPDATE auth_user SET is_active = 0"
ACTIVATE = "UPDATE auth_user SET is_active = 1"
REVOKE = "UPDATE metrics_source SET active = 0 WHERE name = 'leaving'"
EXPIRE = "UPDATE django_session SET expire_date = '2026-01-01 00:00:00'"
DELETE = "DELETE FROM django_session"


class World:
    """A fleet, and one person with a password."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self._database = folder / "board.sqlite3"
        self.fleet = Fleet(folder, f"sqlite://{self._database}", variables)
        self.password = ""
        first = Browser(self.fleet.products[0])
        first.get(self.fleet.products[0].new_link())
        self.change_password(first)
        self.name = self.sql("SELECT username FROM auth_user WHERE password LIKE '%$%'")[0][0]

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Another process works on the database."""
        with closing(sqlite3.connect(self._database, timeout=COMMAND_S)) as database, database:
            return database.execute(statement).fetchall()

    def sign_in(self, product: Product) -> Browser:
        browser = Browser(product)
        browser.post("/signin/", {"username": self.name, "password": self.password})
        return browser

    def sign_out(self, browser: Browser) -> None:
        browser.post("/signout/", {}, form="/password/")

    def change_password(self, browser: Browser) -> None:
        new = f"a battery, correct: {secrets.token_hex()}"
        asked = {"old_password": self.password, "new_password1": new, "new_password2": new}
        browser.post("/password/", asked)
        self.password = new


class Browser:
    """Somebody at one process."""

    def __init__(self, product: Product) -> None:
        self.jar = CookieJar()
        self._url = product.base_url
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    @property
    def cookie(self) -> str:
        return "; ".join(f"{one.name}={one.value}" for one in self.jar)

    def get(self, url: str) -> str:
        with self._opener.open(url, timeout=COMMAND_S) as page:
            return str(page.read().decode())

    def post(self, path: str, fields: dict[str, str], form: str = "") -> None:
        """Sends a form of the page at `form`, or of the one it is for."""
        found = FORM_TOKEN.search(self.get(self._url + (form or path)))
        assert found, "the page has a form"
        body = urllib.parse.urlencode({"csrfmiddlewaretoken": found[1], **fields}).encode()
        asked = urllib.request.Request(self._url + path, body, {"Origin": self._url})
        with self._opener.open(asked, timeout=COMMAND_S) as answer:
            assert answer.url != self._url + path, f"{path} is shown again"


def sign_out(world: World, browser: Browser) -> None:
    world.sign_out(browser)


def change_password(world: World, browser: Browser) -> None:
    world.change_password(browser)


def by_sql(statement: str) -> Callable[[World, Browser], None]:
    def run(world: World, _: Browser) -> None:
        world.sql(statement)

    return run


@pytest.fixture(
    scope="module",
    params=["tail", pytest.param("redis", marks=pytest.mark.redis)],
)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    valkey = Valkey() if request.param == "redis" else None
    made = None
    try:
        variables = {"REDIS_URL": valkey.url} if valkey else {}
        made = World(tmp_path_factory.mktemp("fleet"), variables)
        yield made
    finally:
        if made is not None:
            made.fleet.close()
        if valkey is not None:
            valkey.stop()


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        (sign_out, "signed out"),
        (by_sql(DELETE), "signed out"),
        (by_sql(EXPIRE), "signed out"),
        (by_sql(DEACTIVATE), "the account is not active"),
        (change_password, "the password was changed"),
    ],
    ids=["sign-out", "session-deleted", "session-expires", "deactivated", "password"],
)
async def test_a_persons_sockets_end_in_every_process(
    world: World,
    deed: Callable[[World, Browser], None],
    reason: str,
    record_property: Callable[[str, object], None],
) -> None:
    here, there = world.fleet.products
    world.sql(ACTIVATE)
    browser = await asyncio.to_thread(world.sign_in, here)
    origin = there.base_url
    async with live(there.live_url, cookie=browser.cookie, origin=origin) as client:
        await client.get(protocol.Welcome)
        await client.get(protocol.Snapshot, await client.watch("up"))
        ending = asyncio.create_task(client.goodbye())
        await asyncio.to_thread(deed, world, browser)
        done_s = time.monotonic()
        said = await ending
        record_property("ended_after_s", round(time.monotonic() - done_s, 3))
    assert said == (Close.UNAUTHENTICATED, reason)


async def test_a_revoked_tokens_sockets_end_in_every_process(world: World) -> None:
    here, there = world.fleet.products
    leaving = await asyncio.to_thread(here.token, "leaving", "read")
    async with (
        live(here.live_url, token=leaving) as one,
        live(there.live_url, token=leaving) as other,
        live(there.live_url, token=world.fleet.reading) as staying,
    ):
        world.sql(REVOKE)
        for client in (one, other):
            assert await client.goodbye() == (Close.UNAUTHENTICATED, "the token was revoked")
        await staying.get(protocol.Snapshot, await staying.watch("up"))
