"""HTTP for publishers: POST samples and events with a token.

Cookies are ignored: who you are is what the Authorization header says, so no other site can make
a signed-in browser publish. Every answer is JSON.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from metrics import access, intake
from metrics.api import body as bodies
from metrics.clock import now_ms
from metrics.formats import json_events, json_samples
from metrics.limiter import Limiter
from metrics.models import Source
from metrics.refused import Refused
from metrics.samples import Accepted

# Decoding this much takes about a millisecond; more is done beside the event loop.
INLINE_BYTES = 256 * 1024
INLINE_GZIP_BYTES = 16 * 1024
RETRY_AFTER_SECONDS = {429: 30, 503: 2, 507: 60}
WRONG_TOKENS_PER_MINUTE = 30

wrong_tokens = Limiter(WRONG_TOKENS_PER_MINUTE)
_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()
Item = TypeVar("Item")
Handler = Callable[[HttpRequest, Source], Awaitable[Accepted]]
View = Callable[..., Coroutine[Any, Any, HttpResponse]]


def answer(status: int, content: dict[str, Any]) -> HttpResponse:
    """A JSON answer that nobody keeps."""
    body = _encoder.encode(content)
    response = HttpResponse(body, "application/json", status)
    response["Content-Length"] = str(len(body))
    response["Cache-Control"] = "no-store"
    if status in RETRY_AFTER_SECONDS:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS[status])
    # Whoever refuses logs why, once: Django would fill a disk that is full with a line a request.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def ingest(handler: Handler) -> View:
    """A view that lets a publisher's POST through to `handler` and puts the outcome into JSON."""

    @functools.wraps(handler)
    async def view(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            response = answer(405, {"error": f"{request.method}: expected POST."})
            response["Allow"] = "POST"
            return response
        try:
            source = await source_of(request, Source.Scope.PUBLISH)
            return answer(200, _outcome(await handler(request, source)))
        except access.AccessDenied as denied:
            return _denied(denied)
        except Refused as refused:
            return answer(refused.status, {"error": refused.message, "item": refused.item})
        except DatabaseError:
            _log.exception("A publisher could not be served.")
            return answer(503, {"error": "The database does not answer: nothing was stored."})
        except Exception:
            # Whatever it was, a publisher is answered in the form it reads.
            _log.exception("A publisher could not be served.")
            return answer(500, {"error": "Our fault, and it is in the log: nothing is certain."})

    login_not_required(view)
    return csrf_exempt(view)


@ingest
async def samples(request: HttpRequest, source: Source) -> Accepted:
    """POST /api/v1/samples: {"samples": [{"metric", "labels", "value", "time", "kind"}]}."""
    key = bodies.idempotency_key(request)
    body, decoded = await _decoded(request, json_samples.decode)
    return await intake.aaccept(
        decoded,
        now_ms=now_ms(),
        source=source,
        key=key,
        body_hash=hashlib.sha256(body).digest() if key is not None else b"",
    )


@ingest
async def events(request: HttpRequest, source: Source) -> Accepted:
    """POST /api/v1/events: {"events": [{"title", "text", "labels", "time"}]}."""
    if "HTTP_IDEMPOTENCY_KEY" in request.META:
        raise Refused(400, "Idempotency-Key", "events are not counted once by key; leave it out")
    _, decoded = await _decoded(request, json_events.decode)
    return await intake.aaccept_events(decoded, now_ms=now_ms(), source=source)


@csrf_exempt
@login_not_required
async def nothing_here(request: HttpRequest, path: str = "") -> HttpResponse:
    """Any other address below /api/."""
    return answer(404, {"error": "Nothing is here: see POST /api/v1/samples."})


async def source_of(request: HttpRequest, scope: str) -> Source:
    """The source of the request's token; slows down who tries many.

    Raises AccessDenied, or Refused(429).
    """
    header = request.META.get("HTTP_AUTHORIZATION")
    at_ms = now_ms()
    try:
        return await access.asource_for(header, scope, at_ms)
    except access.UnknownToken:
        address = request.META.get("REMOTE_ADDR") or "?"
        if wrong_tokens.wait_ms(address, at_ms):
            raise Refused(
                429, "Authorization", "too many wrong tokens from this address: wait a little"
            ) from None
        wrong_tokens.count(address, at_ms)
        raise


async def _decoded(
    request: HttpRequest, decode: Callable[[bytes, int], Sequence[Item]]
) -> tuple[bytes, Sequence[Item]]:
    """The unpacked body and what it says; a large one is not decoded on the event loop."""
    packed = bodies.check_type(request)
    sent = bodies.read(request)
    most_bytes: int = settings.BODY_BYTES

    def work() -> tuple[bytes, Sequence[Item]]:
        body = bodies.inflate(sent, most_bytes) if packed else sent
        return body, decode(body, most_bytes)

    if len(sent) <= (INLINE_GZIP_BYTES if packed else INLINE_BYTES):
        return work()
    return await asyncio.to_thread(work)


def _outcome(accepted: Accepted) -> dict[str, Any]:
    content: dict[str, Any] = {"stored": accepted.stored}
    if accepted.replayed:
        content["replayed"] = True
    if accepted.warnings:
        content["warnings"] = accepted.warnings
    return content


def _denied(denied: access.AccessDenied) -> HttpResponse:
    response = answer(denied.status, {"error": denied.message, "item": "Authorization"})
    if denied.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response
