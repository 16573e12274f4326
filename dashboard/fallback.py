"""The live data for whom no WebSocket can be opened: server-sent events, and long polling.

Some proxies strip the Upgrade header. What is sent is the same in every way: the frames of
docs/protocol.md in JSON, from the same rings, with the same cursors (docs/fallback.md).
"""

from __future__ import annotations

from typing import Any

from dashboard import annotating, protocol
from dashboard import hub as hubs
from dashboard.body_limit import BodyLimit
from dashboard.fallback_door import Refused, answer, refuse, viewer_of
from dashboard.fallback_poll import Poll
from dashboard.fallback_stream import Stream, stream_of
from dashboard.fallback_talk import BODY_BYTES, annotation, body_of, frames, question
from dashboard.headers import secured
from dashboard.protocol import Close

SOCKET, EVENTS, POLL, ANNOTATE = "/live/", "/live/events", "/live/poll", "/live/annotate"
WHAT_IT_IS = (
    "This address speaks WebSocket (subprotocol pulseboard.v1 or pulseboard.v1.json); the request "
    "came without the header Upgrade: websocket, which a proxy on the way may have taken out. "
    f"Without a WebSocket use {EVENTS} (server-sent events) or {POLL} (long polling).\n"
)
NO_PUSHBACK = (
    "this server would keep what its reader does not take: use /live/poll, or serve the site with "
    "`manage.py serve`"
)


class Fallback:
    """ASGI middleware: answers at these addresses; everything else goes to `app`."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._own: Any = BodyLimit(_answer, BODY_BYTES)  # type: ignore[arg-type]

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"]
        if path in (EVENTS, POLL, ANNOTATE) or path.startswith(f"{EVENTS}/"):
            await self._own(scope, receive, secured(scope, send))  # type: ignore[arg-type]
        elif path == SOCKET and not _is_browser(scope):
            await _say_what_it_is(secured(scope, send))  # type: ignore[arg-type]
        else:
            await self._app(scope, receive, send)


def _is_browser(scope: dict[str, Any]) -> bool:
    """Whether somebody looks who can read a page, or sign in to read it."""
    return any(
        name.lower() == b"accept" and b"text/html" in value for name, value in scope["headers"]
    )


async def _say_what_it_is(send: Any) -> None:
    body = WHAT_IT_IS.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"upgrade"),
        (b"upgrade", b"websocket"),
    ]
    await send({"type": "http.response.start", "status": 426, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
    try:
        if scope["path"] == POLL:
            await _poll(scope, receive, send)
        elif scope["path"] == EVENTS:
            await _stream(scope, receive, send)
        elif scope["path"] == ANNOTATE:
            await _annotate(scope, receive, send)
        else:
            await _frames(scope, receive, send)
    except Refused as refused:
        await refuse(send, refused)


async def _poll(scope: dict[str, Any], receive: Any, send: Any) -> None:
    _expect(scope, "POST")
    viewer = await viewer_of(scope)
    watches, wait_s = question(await body_of(receive))
    await answer(send, 200, await Poll(await hubs.get(), viewer).answer(receive, watches, wait_s))


async def _stream(scope: dict[str, Any], receive: Any, send: Any) -> None:
    _expect(scope, "GET", "POST")
    viewer = await viewer_of(scope)
    watches, _ = question(await body_of(receive))
    steady = (scope.get("extensions") or {}).get("pulseboard.stream")
    if steady is None:
        raise Refused(Close.INTERNAL, NO_PUSHBACK, 501)
    steady()
    await Stream(await hubs.get(), viewer, send).run(receive, watches)


async def _frames(scope: dict[str, Any], receive: Any, send: Any) -> None:
    _expect(scope, "POST")
    stream = stream_of(scope["path"].removeprefix(f"{EVENTS}/"), await viewer_of(scope))
    await stream.take(frames(await body_of(receive)))
    await answer(send, 200, b"[]")


async def _annotate(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Any process can do it, whichever has the stream."""
    _expect(scope, "POST")
    viewer = await viewer_of(scope)
    answered = await annotating.outcome(viewer, annotation(await body_of(receive)))
    await answer(send, 200, f"[{protocol.encode(answered)}]".encode())


def _expect(scope: dict[str, Any], *methods: str) -> None:
    if scope["method"] not in methods:
        allowed = ", ".join(methods)
        raise Refused(
            Close.BAD_MESSAGE, f"expected the method {allowed}", 405, allow=allowed.encode()
        )
