"""Security headers on every response, on Django 5.2 and 6 alike."""

from __future__ import annotations

import io
import re
from collections.abc import Awaitable, Callable, Iterator

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from asgiref.typing import ASGISendCallable, ASGISendEvent, HTTPScope
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Pages are personal; what may be kept says so itself.
    "Cache-Control": "private, no-store",
}


class SecurityHeaders:
    """Middleware; sets what a response does not set itself.

    For synchronous and asynchronous stacks alike, so that it costs no hop between threads.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        response = self.get_response(request)
        if isinstance(response, HttpResponseBase):
            return add_headers(request, response)
        return self._later(request, response)

    async def _later(
        self, request: HttpRequest, response: Awaitable[HttpResponseBase]
    ) -> HttpResponseBase:
        return add_headers(request, await response)


def add_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Adds the headers that `response` lacks."""
    response.headers.setdefault("Content-Security-Policy", policy(request))
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def secured(scope: HTTPScope, send: ASGISendCallable) -> ASGISendCallable:
    """`send` for answers that are made outside Django: adds the headers that they lack."""

    async def send_secured(event: ASGISendEvent) -> None:
        if event["type"] == "http.response.start":
            given = list(event["headers"])
            names = {name.lower() for name, _ in given}
            more = [(name, value) for name, value in _headers(scope) if name not in names]
            await send({**event, "headers": [*given, *more]})
        else:
            await send(event)

    return send_secured


def _headers(scope: HTTPScope) -> Iterator[tuple[bytes, bytes]]:
    request = ASGIRequest(scope, io.BytesIO())
    yield b"content-security-policy", policy(request).encode()
    for name, value in HEADERS.items():
        yield name.lower().encode(), value.encode()


def policy(request: HttpRequest) -> str:
    """The content security policy: everything from here, nothing inline, nothing framed."""
    host = request.META.get("HTTP_HOST", "")
    # Safari did not count ws: and wss: to 'self' before version 15.4. The header is not checked
    # against ALLOWED_HOSTS yet; what is no host name stays out of the policy.
    scheme = "wss" if request.is_secure() else "ws"
    socket = f" {scheme}://{host}" if _HOST.fullmatch(host) else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"font-src 'self'; connect-src 'self'{socket}; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'; object-src 'none'"
    )
