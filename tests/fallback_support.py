"""Clients that watch over plain HTTP, for tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from dashboard import protocol
from dashboard.protocol import Close
from tests.live_support import Shown, read
from tests.site_support import Person, Site
from tests.support.waiting import DEADLINE_S

Kind = TypeVar("Kind", bound=protocol.ServerMessage)
Who = Person | str | None  # somebody signed in, a token, or nobody


def page_headers(site: Site, who: Who) -> dict[str, str]:
    """What a page of this site sends, or a program with a token."""
    if isinstance(who, Person):
        return {
            "Cookie": who.cookie,
            "Origin": site.origin,
            "Sec-Fetch-Site": "same-origin",
            "X-Pulseboard": "live",
        }
    return {"Authorization": f"Bearer {who}"} if who else {}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> list[protocol.ServerMessage]:
        assert self.status == 200, self.body
        return [read(json.dumps(frame)) for frame in self.json]

    def of(self, kind: type[Kind], id: int | None = None) -> list[Kind]:
        return [
            frame
            for frame in self.frames
            if isinstance(frame, kind) and id in (None, getattr(frame, "id", None))
        ]


class Wire:
    """One request, and its answer as it comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}

    async def begin(self, request: bytes) -> None:
        """Sends the request and reads the answer's head."""
        self.writer.write(request)
        async with asyncio.timeout(DEADLINE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        self.status = int(first.split()[1])
        pairs = (line.split(":", 1) for line in lines)
        self.headers = {name.lower(): value.strip() for name, value in pairs}

    async def chunk(self) -> bytes:
        """The next piece of a chunked body; empty at its end."""
        async with asyncio.timeout(DEADLINE_S):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def rest(self) -> bytes:
        """The whole body."""
        if "content-length" in self.headers:
            async with asyncio.timeout(DEADLINE_S):
                return await self.reader.readexactly(int(self.headers["content-length"]))
        body = b""
        while piece := await self.chunk():
            body += piece
        return body


@asynccontextmanager
async def wire(site: Site) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", site.running.port, limit=64 * 1024 * 1024
    )
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def request(
    site: Site, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{site.running.port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def ask(
    site: Site,
    path: str,
    question: Any,
    who: Who = None,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request and its whole answer; `headers` replace those of the page."""
    own = page_headers(site, who) if headers is None else dict(headers)
    body = question if isinstance(question, bytes) else msgspec.json.encode(question)
    async with wire(site) as asked:
        await asked.begin(request(site, method, path, own, body))
        return Answer(asked.status, asked.headers, await asked.rest())


def watch(id: int, expr: str, cursor: str | None = None, **options: Any) -> protocol.Watch:
    """Of the last 60 s by the second, unless told otherwise."""
    return protocol.Watch(
        id, expr, **{"range_ms": 60_000, "step_ms": 1000, **options}, cursor=cursor
    )


async def poll(site: Site, who: Who, *watches: protocol.ClientMessage, **more: Any) -> Answer:
    return await ask(site, "/live/poll", {"watches": watches, **more}, who)


async def poll_until_shown(
    site: Site, who: Who, shown: Shown, wanted: set[float], expr: str
) -> int:
    """Polls on until these values were seen; how many polls it took."""
    polls = 0
    async with asyncio.timeout(DEADLINE_S):
        while not wanted <= {value for row in shown.values for value in row.values()}:
            answer = await poll(site, who, watch(1, expr, shown.cursor))
            polls += 1
            for frame in answer.of(protocol.Snapshot) + answer.of(protocol.Update):
                shown.take(frame)
    return polls


class Events:
    """One open stream."""

    def __init__(self, site: Site, who: Who, wire: Wire) -> None:
        self.site = site
        self.who = who
        self.wire = wire
        self.path = ""
        self._text = ""

    async def event(self) -> tuple[str, str]:
        """The next event: its kind and its data."""
        while "\n\n" not in self._text:
            piece = await self.wire.chunk()
            if not piece:
                raise EOFError("the stream has ended")
            self._text += piece.decode()
        event, self._text = self._text.split("\n\n", 1)
        kind, data = "message", ""
        for line in event.split("\n"):
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                data = line[6:]
        return kind, data

    async def hear(self) -> protocol.ServerMessage:
        """The next frame of any kind."""
        kind, data = await self.event()
        assert kind == "message", (kind, data)
        return read(data)

    async def get(self, kind: type[Kind], id: int | None = None) -> Kind:
        """The next frame of this kind (and id); what comes before it is dropped."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                frame = await self.hear()
                if isinstance(frame, kind) and id in (None, getattr(frame, "id", None)):
                    return frame

    async def until_shown(self, shown: Shown, id: int, wanted: set[float]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not wanted <= {value for row in shown.values for value in row.values()}:
                frame = await self.hear()
                if getattr(frame, "id", None) == id:
                    shown.take(frame)

    async def say(self, *frames: protocol.ClientMessage, who: Who = None) -> Answer:
        """Sends frames up, as whoever opened it unless told otherwise."""
        return await ask(self.site, self.path, frames, who or self.who)

    async def goodbye(self) -> tuple[int, str]:
        """Code and reason with which the server ends it."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                kind, data = await self.event()
                if kind == "close":
                    ending = json.loads(data)
                    assert await self.wire.rest() == b"", "nothing follows a close"
                    return ending["code"], ending["reason"]


@asynccontextmanager
async def events(
    site: Site, who: Who, *watches: protocol.ClientMessage, method: str = "POST"
) -> AsyncIterator[Events]:
    """An open, welcomed stream."""
    body = msgspec.json.encode({"watches": watches}) if method == "POST" else b""
    async with wire(site) as asked:
        await asked.begin(request(site, method, "/live/events", page_headers(site, who), body))
        assert asked.status == 200, await asked.rest()
        stream = Events(site, who, asked)
        kind, data = await stream.event()
        assert kind == "stream"
        stream.path = json.loads(data)["path"]
        await stream.get(protocol.Welcome)
        yield stream


def refused(answer: Answer, status: int, sentence: str) -> bool:
    """Asserts a refusal that says why, and what a socket would be closed with."""
    assert answer.status == status, answer.body
    assert sentence in answer.json["error"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in answer.headers["cache-control"]
    return answer.json["code"] in set(Close)
