"""GET /api/v1/export: samples of any range, streamed, for people and for reading tokens."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth import aget_user
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from metrics import access
from metrics.api.views import answer, source_of
from metrics.clock import now_ms
from metrics.models import Source
from metrics.moving import request as requests
from metrics.moving.trouble import CannotMove
from metrics.query import EvaluationError
from metrics.refused import Refused
from metrics.threads import beside_loop

EXPORTS_AT_ONCE = 4  # each has a thread's work and some hundred MB at most
PART_BYTES = 64 * 1024
PARAMETERS = ("expr", "metric", "from", "to", "step", "format", "time_format")
NOT_EVERYTHING = (
    "You see only the dashboards that are shared with you: an export needs the permission "
    "metrics.view_metric, which an admin can give you."
)

_log = logging.getLogger(__name__)


class Place:
    """One of the exports that may run at once in this process; given back once, however it ends."""

    taken: ClassVar[int] = 0
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        with self._lock:
            if Place.taken >= EXPORTS_AT_ONCE:
                raise Refused(
                    503, "", f"{EXPORTS_AT_ONCE} exports run already: try again when one has ended"
                )
            Place.taken += 1
        self._mine = True

    def give_back(self) -> None:
        with self._lock:
            if self._mine:
                self._mine = False
                Place.taken -= 1


class _Streaming(StreamingHttpResponse):
    """Gives its place back also when nobody has read the first byte: a generator that never
    began has no end."""

    place: Place

    def close(self) -> None:
        super().close()
        self.place.give_back()


@login_not_required  # it asks for itself: a token will do
async def export(request: HttpRequest) -> HttpResponseBase:
    """?expr= or ?metric=, from, to, step, format (csv, jsonl, parquet), time_format."""
    if request.method != "GET":
        response = answer(405, {"error": f"{request.method}: expected GET."})
        response["Allow"] = "GET"
        return response
    try:
        identity = await _identity(request)
        wanted = _wanted(request)
        if not await beside_loop(access.may_read_everything, identity):
            raise access.AccessDenied(403, NOT_EVERYTHING)
        return await _response(wanted)
    except access.AccessDenied as denied:
        response = answer(denied.status, {"error": denied.message, "item": "Authorization"})
        if denied.status == 401:
            response["WWW-Authenticate"] = "Bearer"
        return response
    except Refused as refused:
        return answer(refused.status, {"error": refused.message, "item": refused.item})
    except (CannotMove, EvaluationError) as error:
        return answer(400, {"error": f"{error}"})
    except DatabaseError:
        _log.exception("An export could not begin.")
        return answer(503, {"error": "The database does not answer: try again."})


async def _identity(request: HttpRequest) -> object:
    """The token's source or the signed-in person. Raises AccessDenied, or Refused(429)."""
    if "HTTP_AUTHORIZATION" not in request.META:
        # This path goes round the session middleware: publishers need none of it.
        store: Any = import_module(settings.SESSION_ENGINE).SessionStore
        request.session = store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
        user = await aget_user(request)
        if not access.may_read(user):
            raise access.AccessDenied(
                401, "Sign in, or send a token of scope read: Authorization: Bearer pb_..."
            )
        return user
    return await source_of(request, Source.Scope.READ)


def _wanted(request: HttpRequest) -> requests.Request:
    unknown = sorted(request.GET.keys() - set(PARAMETERS))
    if unknown:
        raise CannotMove(f"{unknown[0][:60]!a}: expected only {', '.join(PARAMETERS)}.")
    said = {name: request.GET.get(name, "") for name in PARAMETERS}
    said["start"], said["end"] = said.pop("from"), said.pop("to")
    return requests.make(**said, now_ms=now_ms())


async def _response(wanted: requests.Request) -> HttpResponseBase:
    place = Place()
    try:
        parts, first = await beside_loop(_begin, wanted)
    except BaseException:
        place.give_back()
        raise
    response = _Streaming(
        _stream(parts, first, place), content_type=requests.CONTENT_TYPES[wanted.format]
    )
    response["Content-Disposition"] = f'attachment; filename="{wanted.file_name}"'
    response.place = place
    return response


def _begin(wanted: requests.Request) -> tuple[Iterator[bytes], bytes]:
    """The first part before anything is answered: what is wrong is a sentence, not a torn file."""
    found = wanted.export()
    if not found.series:
        raise Refused(404, "", f"no series is selected by {wanted.expression.text}")
    parts = wanted.written(found)
    return parts, _some(parts)


def _some(parts: Iterator[bytes]) -> bytes:
    """The next parts, enough of them to be worth a frame; empty at the end."""
    gathered: list[bytes] = []
    size = 0
    for part in parts:
        gathered.append(part)
        size += len(part)
        if size >= PART_BYTES:
            break
    return b"".join(gathered)


async def _stream(parts: Iterator[bytes], first: bytes, place: Place) -> AsyncIterator[bytes]:
    """What fails on the way breaks the connection, so that nobody takes half a file for one."""
    try:
        part = first
        while part:
            yield part
            part = await beside_loop(_some, parts)
    except Exception:
        _log.exception("An export ended early.")
        raise
    finally:
        place.give_back()
