"""Everybody comes back at once: each gets theirs, and the database is asked each thing once."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from benchmarks.returning import Crowd
from dashboard import hub as hubs
from dashboard import protocol, viewer
from dashboard.connection import Connection
from dashboard.members import Members
from dashboard.protocol import Close
from dashboard.viewer import Viewer, by_session
from metrics import stats
from metrics.clock import now_ms
from tests.conftest import NewServer
from tests.live_support import LiveClient, Shown
from tests.site_support import Person, Site, publish, site
from tests.support.product import Product

__all__ = ["site"]  # a fixture

CLIENTS = 200
MINUTE_MS = 60_000
# What the head answers, and, the last one, what is older than it.
PANELS = (
    ("orders", 5 * MINUTE_MS, 1000),
    ("sum(orders)", 5 * MINUTE_MS, 1000),
    ("orders", MINUTE_MS, 1000),
    ("max(orders)", 5 * MINUTE_MS, 1000),
    ("orders", 180 * MINUTE_MS, MINUTE_MS),
)


class Asked:
    """The queries of all threads."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def of(self, *parts: str) -> Counter[str]:
        """Those with one of these in them; how often each very same one was asked."""
        return Counter(sql for sql in self.statements if any(part in sql for part in parts))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    noting = Asked()
    execute = CursorWrapper.execute

    def noted(self: CursorWrapper, sql: Any, params: Any = None) -> Any:
        noting.statements.append(f"{sql} {params}")
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", noted)
    return noting


@pytest.fixture
def no_time_passes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered for a moment is remembered for the whole test."""
    (hub,) = hubs.running()
    monkeypatch.setattr(viewer._people, "_clock", lambda: 0.0)
    monkeypatch.setattr(hub.queries.pictures._finished, "_clock", lambda: 0.0)


@pytest.fixture(autouse=True)
def _nobody_is_known() -> Iterator[None]:
    viewer._people.forget()
    yield
    viewer._people.forget()


async def watch_all(client: LiveClient) -> None:
    for expr, range_ms, step_ms in PANELS:
        await client.watch(expr, range_ms=range_ms, step_ms=step_ms)
    missing = set(range(1, 1 + len(PANELS)))
    while missing:
        missing.discard((await client.get(protocol.Snapshot)).id)


def drawn() -> float:
    return stats.snapshot().counters.get("snapshots_drawn_total", 0.0)


class TestAfterARestart:
    @pytest.mark.usefixtures("no_time_passes")
    async def test_the_database_is_asked_each_thing_once(
        self, site: Site, asked: Asked, settings: Any
    ) -> None:
        settings.CONNECTIONS_PER_USER = CLIENTS
        now = now_ms()
        for minutes in (170, 90, 10, 1):
            await publish("orders", float(minutes), now - minutes * MINUTE_MS)
        ann = await site.person()
        before = drawn()
        asked.statements.clear()
        async with AsyncExitStack() as stack:
            opening = (stack.enter_async_context(site.opened_by(ann)) for _ in range(CLIENTS))
            clients = await asyncio.gather(*opening)
            await asyncio.gather(*(watch_all(client) for client in clients))
        assert drawn() - before == len(PANELS)
        history = asked.of("metrics_chunk", '"metrics_batch"."data"')
        assert history and max(history.values()) == 1, history.most_common(1)
        assert asked.of('"django_session"."session_data"').total() == 1
        assert asked.of('"auth_user"."first_name"').total() == 1

    async def test_so_it_is_with_a_token(self, site: Site, asked: Asked) -> None:
        token = await site.token()
        asked.statements.clear()

        async def come(stack: AsyncExitStack) -> None:
            client = await stack.enter_async_context(
                site.opened_by(cast(Person, SimpleNamespace(cookie="")), origin=None)
            )
            await client.hello(token)

        async with AsyncExitStack() as stack:
            await asyncio.gather(*(come(stack) for _ in range(40)))
        assert asked.of('"metrics_source"."token_hash" =').total() == 1


class TestOnlyTheSocketsBroke:
    async def test_everybody_gets_exactly_what_they_missed(self, site: Site, settings: Any) -> None:
        settings.CONNECTIONS_PER_USER = CLIENTS
        ann = await site.person()
        shown = [Shown() for _ in range(CLIENTS // 4)]
        await publish("orders", 1.0)

        async def come(one: Shown, wanted: list[float]) -> None:
            async with site.opened_by(ann) as client:
                id = await client.watch("orders", cursor=one.cursor)
                await client.until_shown(one, id, wanted)
                client.socket.transport.abort()

        await asyncio.gather(*(come(one, [1.0]) for one in shown))
        before = drawn()
        for value in (2.0, 3.0, 4.0):
            await publish("orders", value)
        await asyncio.gather(*(come(one, [4.0]) for one in shown))
        assert drawn() == before, "nobody needed a snapshot"
        assert {one.snapshots for one in shown} == {1}
        assert all(one.since(one.oldest_ms) for one in shown)


class TestRights:
    @pytest.mark.usefixtures("no_time_passes")
    async def test_who_was_signed_out_elsewhere_is_not_let_in_from_memory(self, site: Site) -> None:
        ann = await site.person()
        async with site.opened_by(ann) as client:
            await client.get(protocol.Welcome)
            assert await by_session(self.scope(site, ann)) is not None
            await Session.objects.aupdate(expire_date=timezone.now())
            assert (await client.goodbye())[0] == Close.UNAUTHENTICATED
        assert await by_session(self.scope(site, ann)) is None

    @pytest.mark.usefixtures("no_time_passes")
    async def test_who_signs_out_is_forgotten_at_once(self, site: Site) -> None:
        ann = await site.person()
        assert await by_session(self.scope(site, ann)) is not None
        await sync_to_async(ann.browser.post)("/signout/")
        assert await by_session(self.scope(site, ann)) is None

    @pytest.mark.parametrize("key", ["", "a b", "x\0y", "é", "../x", "0" * 32])
    async def test_what_is_no_session_is_nobody(self, site: Site, key: str) -> None:
        cookie = f"pulseboard={key}".encode("latin-1")
        scope = {"origin": site.origin, "headers": [(b"cookie", cookie)]}
        assert await by_session(scope) is None

    def scope(self, site: Site, person: Person) -> dict[str, Any]:
        return {"origin": site.origin, "headers": [(b"cookie", person.cookie.encode())]}


class Told:
    """A connection that only listens."""

    def __init__(self) -> None:
        self.frames: list[str] = []

    def say(self, frame: str) -> bool:
        self.frames.append(frame)
        return True


async def nothing(code: Close, reason: str) -> None:
    pass


@pytest.mark.parametrize(("count", "last_ms"), [(1, 0), (3, 200), (1000, 1998), (20_000, 19_999)])
async def test_every_client_is_told_a_moment_of_its_own(count: int, last_ms: int) -> None:
    members = Members(asyncio.get_running_loop())
    clients = [Told() for _ in range(count)]
    for client in clients:
        members.join(cast(Connection, client), Viewer(user=1), nothing)
    members.say_goodbye(Close.RESTART, "restarting")
    byes = [
        msgspec.json.decode(frame, type=protocol.Bye) for (frame,) in (c.frames for c in clients)
    ]
    moments = sorted(bye.retry_ms for bye in byes)
    assert moments[0] == (100, 200)
    assert moments[-1] == (100 + last_ms, 200 + last_ms)
    widest = max(Counter(start_ms // 1000 for start_ms, _ in moments).values())
    assert widest <= max(500, count // 20), "in any second"


class TestARealServer:
    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
    async def test_all_are_live_again_after_a_restart(
        self, new_server: NewServer, how: signal.Signals
    ) -> None:
        server = await asyncio.to_thread(new_server, {"CONNECTIONS_PER_USER": "1000"})
        cookie = await asyncio.to_thread(server.cookie)
        await asyncio.to_thread(post, server, await asyncio.to_thread(server.token))
        crowd = Crowd(server.port, [cookie], [as_watch(id) for id in range(1, 1 + len(PANELS))])
        try:
            await crowd.open(CLIENTS)
            await asyncio.to_thread(restart, server, how)
            await crowd.until_live(CLIENTS)
            if how == signal.SIGTERM:
                assert all(browser.told for browser in crowd.browsers)
                assert crowd.closes == {1012: CLIENTS}
            assert not crowd.refusals and not crowd.errors
            assert all(browser.snapshots >= 2 * len(PANELS) for browser in crowd.browsers)
        finally:
            crowd.close()


def restart(server: Product, how: signal.Signals) -> None:
    if how == signal.SIGKILL:
        server.kill9()
    else:
        server.terminate(how)
    server.start()


def as_watch(id: int) -> dict[str, Any]:
    expr, range_ms, step_ms = PANELS[id - 1]
    return {"type": "watch", "id": id, "expr": expr, "range_ms": range_ms, "step_ms": step_ms}


def post(server: Product, token: str) -> None:
    """Publishes one sample over HTTP."""
    request = urllib.request.Request(
        f"{server.base_url}/api/v1/samples",
        json.dumps({"samples": [{"metric": "orders", "value": 1}]}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status < 300
