"""A short way in for publishers.

A publisher's request needs no session, no user, no CSRF token and no message: cookies must not
matter here. The middleware for those also costs a publisher most of its time, as each of it
changes threads. So requests below /api/v1/ go to their views directly.

So do the questions of load balancers, which name an address as the host, not the site's name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import resolve

PREFIX = "/api/v1/"
PROBES = {"/healthz", "/readyz"}

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class Door:
    """Middleware, to be placed after the security headers and before everything else."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        path = request.path_info
        if not path.startswith(PREFIX) and path not in PROBES:
            return self.get_response(request)
        if self._is_async:
            return _answer(request)
        return async_to_sync(_answer)(request)


async def _answer(request: HttpRequest) -> HttpResponseBase:
    match = resolve(request.path_info)
    request.resolver_match = match
    response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
    return response
