"""Annotations: events that people put on the charts, from a page into the log."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
from django import db
from django.contrib.auth import get_user_model

from dashboard import protocol
from dashboard.viewer import Viewer, why_not_person
from metrics import access, intake
from metrics.clock import now_ms
from metrics.log import Key
from metrics.refused import Refused
from metrics.samples import EventSample
from metrics.threads import beside_loop

AUTHOR = "author"  # the label that says whose it is
AT_ONCE = 20  # of one person in this process that are not answered yet
CODES: dict[int, protocol.ErrorCode] = {429: "rate_limited", 500: "internal"}
CODES |= {503: "internal", 507: "internal"}
NO_TOKENS = (
    "a token cannot annotate: publish the event with a token of scope publish, POST /api/v1/events"
)
NO_RIGHT = "you may not annotate: an admin can give you the permission metrics.add_event"

Outcome = protocol.Stored | protocol.Error

logger = logging.getLogger(__name__)
_under_way: Counter[str] = Counter()  # by person
_tasks: set[asyncio.Task[None]] = set()


def begin(
    viewer: Viewer, asked: protocol.Annotate, answer: Callable[[Outcome], Awaitable[None]]
) -> None:
    """Stores an annotation while its connection goes on; then `answer` is called."""

    async def store() -> None:
        await answer(await outcome(viewer, asked))

    task = asyncio.get_running_loop().create_task(store())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def outcome(viewer: Viewer, asked: protocol.Annotate) -> Outcome:
    """What is to be answered, once it is durable or refused. Never raises."""
    if _under_way[viewer.name] >= AT_ONCE:
        sentence = f"{AT_ONCE} annotations of yours wait for the disk: send it again in a moment"
        return protocol.Error("rate_limited", sentence, ref=asked.ref)
    _under_way[viewer.name] += 1
    try:
        return await _store(viewer, asked)
    except access.AccessDenied as denied:
        return protocol.Error("forbidden", denied.message, ref=asked.ref)
    except Refused as refused:
        code = CODES.get(refused.status, "bad_message")
        return protocol.Error(code, _sentence(refused), ref=asked.ref)
    except db.Error as error:
        logger.warning("an annotation could not be stored: %s", error)
        sentence = "the database does not answer: nothing was stored, send it again"
        return protocol.Error("internal", sentence, ref=asked.ref)
    except Exception:
        logger.exception("an annotation could not be stored")
        sentence = "a mistake of ours; it is in the server's log"
        return protocol.Error("internal", sentence, ref=asked.ref)
    finally:
        _under_way[viewer.name] -= 1
        if not _under_way[viewer.name]:
            del _under_way[viewer.name]


async def _store(viewer: Viewer, asked: protocol.Annotate) -> protocol.Stored:
    author = await beside_loop(_author, viewer)
    if AUTHOR in asked.labels:
        raise Refused(400, f"labels.{AUTHOR}", "is the server's to set: leave it out")
    labels = {**asked.labels, AUTHOR: author}
    event = EventSample(asked.title, asked.text, labels, asked.time)
    said = hashlib.sha256(msgspec.json.encode(event, order="sorted")).digest()
    receipt = Key(f"person:{viewer.user}", asked.ref, said)
    accepted = await intake.aaccept_events([event], now_ms=now_ms(), receipt=receipt)
    return protocol.Stored(asked.ref, accepted.replayed)


def _author(viewer: Viewer) -> str:
    """The person's name, if they may annotate as of now. Raises AccessDenied."""
    if viewer.user is None:
        raise access.AccessDenied(403, NO_TOKENS)
    user = get_user_model()._default_manager.filter(pk=viewer.user).first()
    reason = why_not_person(viewer, user)
    if reason:
        raise access.AccessDenied(401, reason)
    if user is None or not access.may_annotate(user):
        raise access.AccessDenied(403, NO_RIGHT)
    return str(user.get_username())


def _sentence(refused: Refused) -> str:
    """As publishers are told, in the words of the frame."""
    return str(refused).removeprefix("events[0].").replace("Idempotency-Key", "ref")
