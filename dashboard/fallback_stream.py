"""Server-sent events: one answer without an end, with the frames of docs/protocol.md in it.

The client's own frames come up by other requests. A reader that is slow is held by the server's
flow control, and falls behind on the rings as a socket does; one that reads nothing for 5 s while
something waits is cut by dashboard.http_protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from typing import Any

from dashboard import protocol
from dashboard.connection import Connection
from dashboard.fallback_door import Refused
from dashboard.fallback_talk import OUR_BUG, Talk
from dashboard.frame_guard import Allowance, FrameLimits
from dashboard.hub import Hub
from dashboard.protocol import Close
from dashboard.sinks import AsgiSink
from dashboard.viewer import Viewer
from dashboard.watching import Asked, welcome

logger = logging.getLogger(__name__)

BYE = '{"type":"bye"'
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # A proxy that gathers, stores or compresses the answer would hold the frames back.
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"connection", b"close"),
]

_streams: dict[str, Stream] = {}  # those of this process, by their secret names


def stream_of(name: str, viewer: Viewer) -> Stream:
    """The stream of this name, if it is this viewer's. Raises Refused."""
    stream = _streams.get(name)
    if stream is None or stream.viewer != viewer:
        raise Refused(
            Close.NOT_FOUND,
            "there is no such stream of yours in this process: it has ended, or another process "
            "of this site has it; open a new one with your watches, or use /live/poll",
        )
    return stream


class Stream:
    def __init__(self, hub: Hub, viewer: Viewer, send: Any) -> None:
        self.viewer = viewer
        self.name = secrets.token_urlsafe(24)
        self._hub = hub
        self._asgi_send = send
        self._sink = AsgiSink(self._write_frame)
        self._connection = Connection(self._sink)
        self._talk = Talk(hub, viewer, self._connection)
        self._farewell: tuple[Close, str] = (Close.NORMAL, "")
        self._over = asyncio.Event()
        limits = FrameLimits()
        self._allowance = Allowance(
            limits.messages_per_second, limits.message_burst, time.monotonic()
        )

    async def run(self, receive: Any, watches: list[Asked]) -> None:
        """Until the client leaves, or its rights go. Raises Refused before the answer begins."""
        reason = self._hub.members.refusal(self.viewer)
        if reason:
            raise Refused(Close.RATE_LIMITED, reason)
        self._hub.members.join(self._connection, self.viewer, self.end)
        _streams[self.name] = self
        tasks = [
            asyncio.create_task(job)
            for job in (self._write(), self._hear(receive), self._begin(watches))
        ]
        try:
            await self._over.wait()
        finally:
            self._talk.is_over = True
            del _streams[self.name]
            self._hub.members.leave(self._connection)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._connection.close()
        await self._say_farewell()

    async def take(self, messages: list[protocol.ClientMessage]) -> None:
        """Frames that came by another request. Raises Refused."""
        for message in messages:
            if self._over.is_set():
                raise Refused(Close.NOT_FOUND, "this stream has just ended: open a new one")
            if not self._allowance.take(time.monotonic()):
                raise Refused(Close.RATE_LIMITED, "too many frames: come back in 5 s")
            await self._talk.take(message)

    async def end(self, code: Close, reason: str) -> None:
        """Ends it with what a socket would be closed with."""
        if not self._over.is_set():
            self._farewell = code, reason
            self._over.set()

    async def _write(self) -> None:
        try:
            await self._asgi_send(
                {"type": "http.response.start", "status": 200, "headers": HEADERS}
            )
            await self._event("stream", json.dumps({"path": f"/live/events/{self.name}"}))
            self._connection.say(protocol.encode(welcome()))
            await self._sink.write()
        except Exception:
            logger.exception("a stream cannot be written")
            await self.end(Close.INTERNAL, OUR_BUG)

    async def _hear(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._over.set()

    async def _begin(self, watches: list[Asked]) -> None:
        try:
            await self.take(list(watches))
        except Refused as refused:
            await self.end(refused.code, str(refused))
        except Exception:
            logger.exception("a stream cannot begin")
            await self.end(Close.INTERNAL, OUR_BUG)

    async def _write_frame(self, text: str) -> None:
        await self._put(f"data: {text}\n\n")
        if text.startswith(BYE):
            await self.end(Close.RESTART, "the server is restarting")

    async def _event(self, kind: str, data: str) -> None:
        await self._put(f"event: {kind}\ndata: {data}\n\n")

    async def _put(self, text: str) -> None:
        await self._asgi_send(
            {"type": "http.response.body", "body": text.encode(), "more_body": True}
        )

    async def _say_farewell(self) -> None:
        code, reason = self._farewell
        with contextlib.suppress(Exception):  # whoever has left needs no word
            await self._event("close", json.dumps({"code": int(code), "reason": reason}))
            await self._asgi_send({"type": "http.response.body", "body": b""})
