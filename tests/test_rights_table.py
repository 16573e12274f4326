"""Who may do what: every role at every door, against the whole application on a real port."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from asgiref.sync import sync_to_async
from websockets.exceptions import ConnectionClosed

from dashboard import protocol
from metrics.models import Source
from tests.live_support import live
from tests.site_support import Person, Site, publish, site, tell

__all__ = ["site"]  # a fixture

REQUEST_S = 60.0
WATCHES: dict[str, tuple[protocol.ClientMessage, type[protocol.ServerMessage]]] = {
    "watch": (protocol.Watch(1, "orders", range_ms=60_000, step_ms=1000), protocol.Snapshot),
    "watch of the past": (
        protocol.Watch(1, "orders", range_ms=60_000, step_ms=1000, end_ms=1_790_000_000_000),
        protocol.Snapshot,
    ),
    "watch_events": (protocol.WatchEvents(1), protocol.Events),
    "watch_metrics": (protocol.WatchMetrics(1), protocol.Metrics),
}
SAMPLES = {"samples": [{"metric": "orders", "value": 1}]}
EVENTS = {"events": [{"title": "deployed"}]}
REQUESTS: dict[str, tuple[str, str, Any]] = {
    "publish": ("POST", "/api/v1/samples", SAMPLES),
    "publish an event": ("POST", "/api/v1/events", EVENTS),
    "export": ("GET", "/api/v1/export?metric=orders", None),
    "pages": ("GET", "/metrics/", None),
    "admin": ("GET", "/admin/", None),
    "tokens in the admin": ("GET", "/admin/metrics/source/", None),
    "people in the admin": ("GET", "/admin/auth/user/", None),
}

# What a door answers: True is "come in", a number the status or the close code, and a word the
# page one is sent to.
SIGN_IN = {"pages": "signin", "admin": "signin", "tokens in the admin": "signin"}
SIGN_IN["people in the admin"] = "signin"
SEES = dict.fromkeys(WATCHES, True)
NOBODY = {**dict.fromkeys(WATCHES, 4401), "publish": 401, "publish an event": 401, "export": 401}
PERSON = {**SEES, "publish": 401, "publish an event": 401, "export": True, "pages": True}
INSIDE = {"tokens in the admin": True, "people in the admin": True}
KEPT_OUT = {"admin": 403, "tokens in the admin": 403, "people in the admin": 403}
EXPECTED: dict[str, dict[str, bool | int | str]] = {
    "anonymous": {**NOBODY, **SIGN_IN},
    "wrong token": {**NOBODY, **SIGN_IN},
    "revoked token": {**NOBODY, **SIGN_IN},
    "publish token": {
        **dict.fromkeys(WATCHES, 4403),
        "publish": True,
        "publish an event": True,
        "export": 403,
        **SIGN_IN,
    },
    "read token": {**SEES, "publish": 403, "publish an event": 403, "export": True, **SIGN_IN},
    "inactive user": {**NOBODY, **SIGN_IN},
    "user": {**PERSON, **KEPT_OUT},
    "staff": {**PERSON, **KEPT_OUT, "admin": True},
    "superuser": {**PERSON, **INSIDE, "admin": True},
}


class Visitor:
    """Somebody in a role, with what they can show: a token, the cookie of a session, or nothing."""

    def __init__(self, site: Site, token: str = "", cookie: str = "") -> None:
        self._site = site
        self._token = token
        self._cookie = cookie

    async def watches(self, asked: protocol.ClientMessage, wanted: Any) -> bool | int:
        """Whether it is shown what it asks for, or the code with which the socket closes."""
        origin = self._site.origin if self._cookie else None
        try:
            async with live(self._site.url, cookie=self._cookie, origin=origin) as client:
                if self._token:
                    await client.hello(self._token)
                await client.say(asked)
                await client.get(wanted)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "closed without a code"
            return closed.rcvd.code
        return True

    def asks(self, method: str, path: str, body: Any) -> bool | int | str:
        """The outcome of a request, after redirections."""
        headers = {"Content-Type": "application/json"} if body else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._cookie:
            headers["Cookie"] = self._cookie
        while True:
            connection = http.client.HTTPConnection(
                "127.0.0.1", self._site.running.port, timeout=REQUEST_S
            )
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            if answer.status != 302:
                return True if answer.status == 200 else answer.status
            path = answer.headers["Location"]
            if urlsplit(path).path == "/signin/":
                return "signin"


async def anonymous(site: Site) -> Visitor:
    return Visitor(site)


async def wrong_token(site: Site) -> Visitor:
    return Visitor(site, token="pb_" + "a" * 43)


async def revoked_token(site: Site) -> Visitor:
    token = await site.token("read")
    await sync_to_async(_revoke)()
    return Visitor(site, token=token)


def _revoke() -> None:
    source = Source.objects.get()
    source.active = False
    source.save()


async def publish_token(site: Site) -> Visitor:
    return Visitor(site, token=await site.token("publish"))


async def read_token(site: Site) -> Visitor:
    return Visitor(site, token=await site.token("read"))


def somebody(**fields: bool) -> Callable[[Site], Awaitable[Visitor]]:
    async def person(site: Site) -> Visitor:
        one: Person = await site.person()
        for name, value in fields.items():
            setattr(one.user, name, value)
        await one.user.asave()
        return Visitor(site, cookie=one.cookie)

    return person


ROLES: dict[str, Callable[[Site], Awaitable[Visitor]]] = {
    "anonymous": anonymous,
    "wrong token": wrong_token,
    "revoked token": revoked_token,
    "publish token": publish_token,
    "read token": read_token,
    "inactive user": somebody(is_active=False),
    "user": somebody(),
    "staff": somebody(is_staff=True),
    "superuser": somebody(is_staff=True, is_superuser=True),
}


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_gets_through_its_doors_and_no_others(site: Site, role: str) -> None:
    await publish("orders", 1.0)
    await tell("deployed")
    visitor = await ROLES[role](site)
    found: dict[str, bool | int | str] = {}
    for name, (asked, wanted) in WATCHES.items():
        found[name] = await visitor.watches(asked, wanted)
    for name, request in REQUESTS.items():
        found[name] = await asyncio.to_thread(visitor.asks, *request)
    assert found == EXPECTED[role]
