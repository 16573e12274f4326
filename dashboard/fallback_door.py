"""Who may come in without a WebSocket, and how a request is refused.

The session cookie counts only in a request of a page of this site: it must carry a header of ours,
which no foreign page can send without asking us first (and nobody is answered), and what the
browser says about the page (Origin, Sec-Fetch-Site) must fit. Programs send a token instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django import db
from django.conf import settings
from django.core.exceptions import DisallowedHost

from dashboard import origin
from dashboard.protocol import Close
from dashboard.server import state
from dashboard.viewer import NotAllowed, Viewer, by_session, by_token
from metrics import stats

OUR_HEADER = b"x-pulseboard"  # any value
STATUS = {
    Close.BAD_MESSAGE: 400,
    Close.UNAUTHENTICATED: 401,
    Close.FORBIDDEN: 403,
    Close.NOT_FOUND: 404,
    Close.RATE_LIMITED: 429,
    Close.INTERNAL: 500,
    Close.RESTART: 503,
}

Header = tuple[bytes, bytes]


class Refused(Exception):
    """No; str() is the sentence, `code` what a socket would be closed with."""

    def __init__(self, code: Close, sentence: str, status: int = 0, allow: bytes = b"") -> None:
        """`allow`: the methods that would be answered, where another was used."""
        super().__init__(sentence)
        self.code = code
        self.status = status or STATUS[code]
        self.allow = allow


async def viewer_of(scope: dict[str, Any]) -> Viewer:
    """The person or token behind a request. Raises Refused."""
    if state.draining:
        raise Refused(Close.RESTART, "the server is restarting: come back in a moment")
    headers = [(name.lower(), value) for name, value in scope["headers"]]
    given = {name: value.decode("latin-1") for name, value in headers}
    if not _is_of_this_site(scope, headers, given):
        stats.inc("foreign_origins_total")
        raise Refused(
            Close.FORBIDDEN,
            "a page of another site may not watch here: expected this site's own origin",
        )
    try:
        if b"authorization" in given:
            return await _by_header(given[b"authorization"])
        if OUR_HEADER in given:
            viewer = await by_session({**scope, "origin": "this site"})
            if viewer is not None:
                return viewer
    except db.Error:
        raise Refused(
            Close.INTERNAL, "the database does not answer: come back in 5 s", 503
        ) from None
    raise Refused(
        Close.UNAUTHENTICATED,
        "sign in and send the header X-Pulseboard with the session's cookie, or send "
        "Authorization: Bearer pb_... with a token of scope read",
    )


def _is_of_this_site(scope: dict[str, Any], headers: list[Header], given: dict[bytes, str]) -> bool:
    """Whether nothing speaks against it; a program says neither of the two headers."""
    if given.get(b"sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    if b"origin" not in given:
        return True
    if sum(name in (b"origin", b"host") for name, _ in headers) != 2:
        return False
    secure = scope.get("scheme") == "https" or (
        settings.BEHIND_TLS_PROXY and given.get(b"x-forwarded-proto") == "https"
    )
    scheme = "https" if secure else "http"
    try:
        return origin.allowed(given[b"origin"], given.get(b"host", ""), scheme, settings.ORIGINS)
    except DisallowedHost:
        return False


async def _by_header(authorization: str) -> Viewer:
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise Refused(Close.UNAUTHENTICATED, "expected Authorization: Bearer pb_...")
    try:
        return await by_token(token.strip())
    except NotAllowed as refused:
        raise Refused(refused.code, str(refused)) from None


async def answer(send: Any, status: int, body: bytes, headers: Iterable[Header] = ()) -> None:
    """One whole answer of JSON."""
    own = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Any, refused: Refused) -> None:
    """The sentence, and the close code that stands for the same on a socket."""
    body = json.dumps({"error": str(refused), "code": int(refused.code)}).encode()
    headers: list[Header] = [(b"allow", refused.allow)] if refused.allow else []
    if refused.status in (429, 503):
        headers.append((b"retry-after", b"5"))
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await answer(send, refused.status, body, headers)
