"""From what a client asks for to a watch of its connection, whatever that goes over."""

from __future__ import annotations

import logging

from django import db
from django.conf import settings

from dashboard import protocol
from dashboard.asking import Asking
from dashboard.frames import Frame
from dashboard.granted import NO_BOARD
from dashboard.hub import Hub
from dashboard.models import Dashboard
from dashboard.sharing import EVENTS, METRICS, Subject, Topic, parsed
from dashboard.viewer import Viewer
from dashboard.watch import Watch
from metrics.clock import now_ms
from metrics.query import Expression, ExpressionError

logger = logging.getLogger(__name__)

Asked = protocol.Watch | protocol.WatchEvents | protocol.WatchMetrics | protocol.WatchPresence

BOARD_KEPT_S = 1.0  # that there is a dashboard of this name


def _existing(slugs: set[str]) -> dict[str, str]:
    return {
        slug: slug
        for slug in Dashboard.objects.filter(slug__in=slugs).values_list("slug", flat=True)
    }


_boards = Asking(_existing, keep_s=BOARD_KEPT_S)


def welcome(ack_ms: int = 0) -> protocol.Welcome:
    """The first frame of a server."""
    limits = protocol.Limits(
        protocol.MESSAGE_BYTES,
        settings.WATCHES_PER_CONNECTION,
        settings.POINTS_PER_SERIES,
        settings.SERIES_PER_QUERY,
    )
    return protocol.Welcome(
        protocol.VERSION, now_ms(), settings.TICK_MS, protocol.HEARTBEAT_MS, limits, ack_ms
    )


async def watch_for(hub: Hub, viewer: Viewer, asked: Asked, held: int, place: str) -> Watch:
    """The watch, which is to be ended in the end.

    `held`: so many watches there are on the same `place` ("a socket"). Raises WatchRefused.
    """
    most = settings.WATCHES_PER_CONNECTION
    if held >= most:
        raise protocol.WatchRefused("too_many_watches", f"at most {most} watches {place}")
    try:
        return await _watch(hub, viewer, asked)
    except ExpressionError as error:
        raise protocol.WatchRefused("bad_expression", str(error)) from None
    except db.Error as error:
        logger.warning("a watch could not begin: %s", error)
        sentence = "the database does not answer: ask again"
        raise protocol.WatchRefused("internal", sentence) from None


async def _watch(hub: Hub, viewer: Viewer, asked: Asked) -> Watch:
    subject = _subject(asked)
    await hub.granted.admit(viewer, subject)
    watch = await _begun(hub, viewer, asked, subject)
    try:
        hub.granted.check(viewer, subject)  # the right may have gone while the watch began
    except protocol.WatchRefused:
        watch.on_end()
        raise
    watch.subject = subject
    return watch


def _subject(asked: Asked) -> Subject:
    """What is asked for, as rights know it. Raises ExpressionError."""
    if isinstance(asked, protocol.WatchEvents):
        return EVENTS
    if isinstance(asked, protocol.WatchMetrics):
        return METRICS
    if isinstance(asked, protocol.WatchPresence):
        return Topic("presence", asked.board)
    return parsed(asked.expr)


async def _begun(hub: Hub, viewer: Viewer, asked: Asked, subject: Subject) -> Watch:
    if isinstance(asked, protocol.WatchEvents):
        return _events(hub, asked)
    if isinstance(asked, protocol.WatchMetrics):
        return _metrics(hub, asked)
    if isinstance(asked, protocol.WatchPresence):
        return await _presence(hub, viewer, asked)
    assert isinstance(subject, Expression)
    return await _query(hub, asked, subject)


def _events(hub: Hub, asked: protocol.WatchEvents) -> Watch:
    async def picture() -> Frame:
        return hub.events.picture(asked.limit)

    return Watch(asked.id, picture, hub.events.ring, asked.cursor)


def _metrics(hub: Hub, asked: protocol.WatchMetrics) -> Watch:
    feed = hub.metrics

    async def picture() -> Frame:
        return feed.picture(now_ms())

    def end() -> None:
        feed.watchers -= 1

    feed.watchers += 1
    return Watch(asked.id, picture, feed.ring, asked.cursor, end)


async def _presence(hub: Hub, viewer: Viewer, asked: protocol.WatchPresence) -> Watch:
    if await _boards.get(asked.board) is None:
        raise protocol.WatchRefused("forbidden", NO_BOARD)
    board, leave = hub.presence.enter(viewer, asked.board, asked.away)
    return Watch(asked.id, board.picture, board.ring, asked.cursor, leave)


async def _query(hub: Hub, asked: protocol.Watch, expression: Expression) -> Watch:
    pictures = hub.queries.pictures
    if asked.end_ms is not None:
        end_ms = asked.end_ms

        async def past() -> Frame:
            return await pictures.past(expression, asked.range_ms, end_ms, asked.step_ms)

        return Watch(asked.id, past, None)
    query = await hub.queries.watch(expression, asked.step_ms)

    async def newest() -> Frame:
        return await pictures.newest(query, asked.range_ms)

    return Watch(asked.id, newest, query.ring, asked.cursor, lambda: hub.queries.unwatch(query))
