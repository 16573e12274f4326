"""Somebody who tries every door of the site, for tests of who may do what."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterable
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed

from dashboard import protocol
from tests.fallback_support import Events, Who, ask, events, page_headers, request, wire
from tests.live_support import LiveClient, live
from tests.site_support import Person, Site
from tests.support.waiting import DEADLINE_S

Outcome = bool | int | str  # let in or not, a status or close code, an error's code or a page

_refs = count()


class Visitor:
    """Somebody with what they can show: a session, a token, or nothing."""

    def __init__(self, site: Site, who: Who = None) -> None:
        self._site = site
        self._who = who

    async def socket(self, asked: protocol.ClientMessage, wanted: type) -> Outcome:
        """Whether a socket shows what is asked for; else the error, or the code it closes with."""
        person = self._who if isinstance(self._who, Person) else None
        token = self._who if isinstance(self._who, str) else ""
        cookie, origin = (person.cookie, self._site.origin) if person else ("", None)
        try:
            async with live(self._site.url, cookie=cookie, origin=origin) as client:
                if token:
                    await client.hello(token)
                await client.say(asked)
                return await _outcome(client, wanted)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "closed without a code"
            return closed.rcvd.code

    async def stream(self, asked: protocol.ClientMessage, wanted: type) -> Outcome:
        """The same by server-sent events."""
        status = await self._status_of_stream()
        if status != 200:
            return status
        async with events(self._site, self._who, asked) as stream:
            return await _outcome(stream, wanted)

    async def _status_of_stream(self) -> int:
        async with wire(self._site) as asked:
            headers = page_headers(self._site, self._who)
            await asked.begin(request(self._site, "GET", "/live/events", headers))
            return asked.status

    async def poll(self, asked: protocol.ClientMessage, wanted: type) -> Outcome:
        """The same by polling."""
        answer = await ask(self._site, "/live/poll", {"watches": [asked]}, self._who)
        if answer.status != 200:
            return answer.status
        found = _told(answer.frames, wanted)
        assert found is not None, answer.body
        return found

    async def annotate(self) -> Outcome:
        """Whether an annotation is stored by a socket."""
        return await self.socket(_annotation(), protocol.Stored)

    async def annotate_by_request(self) -> Outcome:
        answer = await ask(self._site, "/live/annotate", _annotation(), self._who)
        if answer.status != 200:
            return answer.status
        found = _told(answer.frames, protocol.Stored)
        assert found is not None, answer.body
        return found

    def asks(self, method: str, path: str, body: Any = None, says: str = "") -> Outcome:
        """The outcome of a request, after redirections; whether the page holds `says`, if given."""
        headers = {"Content-Type": "application/json"} if body else {}
        if isinstance(self._who, str):
            headers["Authorization"] = f"Bearer {self._who}"
        if isinstance(self._who, Person):
            headers["Cookie"] = self._who.cookie
        while True:
            connection = http.client.HTTPConnection(
                "127.0.0.1", self._site.running.port, timeout=DEADLINE_S
            )
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            page = answer.read().decode()
            connection.close()
            if answer.status != 302:
                return says in page if answer.status == 200 else answer.status
            path = answer.headers["Location"]
            if urlsplit(path).path == "/signin/":
                return "signin"


async def _outcome(client: LiveClient | Events, wanted: type) -> Outcome:
    async with asyncio.timeout(DEADLINE_S):
        while (found := _told([await client.hear()], wanted)) is None:
            pass
    return found


def _told(frames: Iterable[protocol.ServerMessage], wanted: type) -> Outcome | None:
    for frame in frames:
        if isinstance(frame, protocol.Error):
            return frame.code
        if isinstance(frame, wanted):
            return True
    return None


def _annotation() -> protocol.Annotate:
    return protocol.Annotate(f"note-{next(_refs)}", "look here")
