"""The exact Origin check: scheme, host and port of the page that opens a socket.

A browser sends the session cookie with a handshake from any site; only the Origin header tells
whose page it is (RFC 6455, section 10.2). Channels' own validator lets every origin in when
ALLOWED_HOSTS is ["*"], and any scheme and port of an allowed host; this one compares all three.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http.request import validate_host

from metrics import stats

DEFAULT_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]


def parse(text: str) -> Origin | None:
    """(scheme, host, port) in lower case with the default port filled in; None if it is not one."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    extra = parts.path or parts.query or parts.fragment or parts.username or parts.password
    if scheme not in DEFAULT_PORTS or not host or extra or any(c in text for c in " \t@?#"):
        return None
    return scheme, host, port if port is not None else DEFAULT_PORTS[scheme]


def allowed(origin: str, host: str, scheme: str, extra: Iterable[str]) -> bool:
    """Whether a page of `origin` may open a socket that was asked for as `scheme`://`host`.

    `extra` are further origins, exact ones, from the setting ORIGINS.
    """
    asked = parse(origin)
    if asked is None:
        return False
    if any(asked == parse(one) for one in extra):
        return True
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if not validate_host(name.lower(), settings.ALLOWED_HOSTS):
        return False
    return asked == parse(f"{scheme}://{host}")


class OriginCheck:
    """ASGI middleware: answers 403 with a sentence to a socket of a foreign page.

    Puts `scope["origin"]`: the origin that was checked, None when there was none (no browser:
    such a client is known by its token only).
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        # No header is held here: this frame lives as long as the socket.
        foreign, origin = self._origin(scope)
        if foreign is not None:
            stats.inc("foreign_origins_total")
            await refuse(
                send,
                403,
                f"The page at {foreign[:200]!r} may not open a socket here: expected this "
                "site's own origin, or one named in the setting ORIGINS "
                "(such as ORIGINS=https://metrics.example.org).",
                scope,
            )
            return
        await self._app({**scope, "origin": origin}, receive, send)

    def _origin(self, scope: dict[str, Any]) -> tuple[str | None, str | None]:
        """The origin that is refused, if one is, and the one that was checked, if there was one."""
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        origins = [value for name, value in headers if name == b"origin"]
        if origins and not self._fits(origins, headers, scope):
            return origins[0], None
        return None, origins[0] if origins else None

    def _fits(
        self, origins: list[str], headers: list[tuple[bytes, str]], scope: dict[str, Any]
    ) -> bool:
        hosts = [value for name, value in headers if name == b"host"]
        if len(origins) != 1 or len(hosts) != 1:
            return False
        secure = scope.get("scheme") == "wss" or _forwarded_https(headers)
        try:
            return allowed(origins[0], hosts[0], "https" if secure else "http", settings.ORIGINS)
        except DisallowedHost:
            return False


def _forwarded_https(headers: list[tuple[bytes, str]]) -> bool:
    """Believed only when the settings say that a TLS proxy stands before us."""
    values = [value for name, value in headers if name == b"x-forwarded-proto"]
    return settings.BEHIND_TLS_PROXY and values == ["https"]


async def refuse(send: Any, status: int, sentence: str, scope: dict[str, Any]) -> None:
    """Answers a handshake with an HTTP status and a sentence, where the server can say one."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 4403})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": sentence.encode()})
