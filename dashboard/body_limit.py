"""Refuses request bodies that are too large, as soon as they are, whatever their header says."""

from __future__ import annotations

import json

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    HTTPDisconnectEvent,
    HTTPScope,
    Scope,
)

from dashboard.headers import secured


class BodyLimit:
    """ASGI middleware: a body of more than `limit_bytes` is answered 413 and never kept.

    The bytes are counted as they come, so a chunked body or a Content-Length that lies gets no
    further than an honest one. The application behind is told that the client has gone.
    """

    def __init__(self, app: ASGI3Application, limit_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif announced_bytes(scope) > self._limit_bytes:
            await refuse(scope, send, self._limit_bytes)
        else:
            body = _CountedBody(scope, receive, send, self._limit_bytes)
            await self._app(scope, body.receive, body.send)


class _CountedBody:
    """Receive and send of one request, until its body has passed the limit."""

    def __init__(
        self,
        scope: HTTPScope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        limit_bytes: int,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._limit_bytes = limit_bytes
        self._seen_bytes = 0
        self._answering = False
        self._refused = False

    async def receive(self) -> ASGIReceiveEvent:
        if self._refused:
            return HTTPDisconnectEvent(type="http.disconnect")
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        self._seen_bytes += len(message["body"])
        if self._seen_bytes <= self._limit_bytes:
            return message
        self._refused = True
        if not self._answering:  # else the application was faster, and its answer stands
            await refuse(self._scope, self._send, self._limit_bytes)
        return HTTPDisconnectEvent(type="http.disconnect")

    async def send(self, message: ASGISendEvent) -> None:
        if self._refused and not self._answering:
            return
        self._answering = True
        await self._send(message)


def announced_bytes(scope: HTTPScope) -> int:
    """What Content-Length says; 0 when it says nothing that is a number."""
    lengths = [value for name, value in scope["headers"] if name.lower() == b"content-length"]
    return max((int(value) for value in lengths if value.isdigit() and len(value) < 20), default=0)


async def refuse(scope: HTTPScope, send: ASGISendCallable, limit_bytes: int) -> None:
    """Answer 413 with a sentence, and end the connection: the rest of the body is not wanted."""
    sentence = f"The body of this request is too large: at most {limit_bytes} bytes are taken."
    body = json.dumps({"error": sentence}).encode()
    send = secured(scope, send)
    await send(
        {
            "type": "http.response.start",
            "status": 413,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
                (b"connection", b"close"),
            ],
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
