"""Our channel layers: Channels' own, where sending to the events group is publishing an event.

From any Django code, in any process, with either layer:

    await get_channel_layer().group_send(
        "pulseboard.events",
        {"type": "event", "title": "deployed", "text": "version 1.2", "labels": {"app": "shop"}},
    )

The event is stored and appears in every open event list. (A plain in-memory layer would lose it
silently when the sender is another process; a plain Redis layer when nobody listens.)
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from channels.layers import InMemoryChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from redis import exceptions

from metrics import intake
from metrics.clock import now_ms
from metrics.samples import EventSample

EVENTS_GROUP = "pulseboard.events"
BELL_GROUP = "pulseboard.bell"
SAID_AGAIN_S = 60.0


async def publish(message: Mapping[str, Any]) -> None:
    """Stores the event a message holds. Raises ValueError, or intake.Refused, with a sentence."""
    fields = {name: value for name, value in message.items() if name != "type"}
    if message.get("type") != "event":
        raise ValueError(f'{EVENTS_GROUP} takes messages of type "event"')
    try:
        event = msgspec.convert(fields, EventSample)
    except msgspec.ValidationError as error:
        raise ValueError(f"{EVENTS_GROUP}: {error}") from None
    # On the caller's own thread, when it is a synchronous one: inside transaction.atomic() the
    # event is part of that transaction (and does not wait for the lock that it holds).
    await sync_to_async(intake.accept_events)([event], now_ms=now_ms())


class EmbeddedLayer(InMemoryChannelLayer):
    """The layer of one process; events reach the others through the log."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if group == EVENTS_GROUP:
            await publish(message)
        else:
            await super().group_send(group, message)


class RedisLayer(RedisPubSubChannelLayer):
    """The layer of many processes, over Redis or Valkey pub/sub."""

    async def new_channel(self, prefix: str = "specific.") -> str:
        """As channels_redis does, but one that could not be subscribed to is forgotten again:
        otherwise trying while Redis is away would grow without end."""
        inner = self._get_layer()
        known = set(inner.channels)
        try:
            return str(await inner.new_channel(prefix))
        except BaseException:
            for name in set(inner.channels) - known:
                del inner.channels[name]
            raise

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if group == EVENTS_GROUP:
            await publish(message)
        else:
            # Its methods are made by its __getattr__, so there is none to call by super().
            await self.__getattr__("group_send")(group, message)


class Outage(logging.Filter):
    """channels_redis logs a traceback each second while Redis is away: a line a minute will do."""

    until_s = 0.0  # nothing is said before

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | OSError):
            return True
        if time.monotonic() < self.until_s:
            return False
        self.until_s = time.monotonic() + SAID_AGAIN_S
        record.msg, record.args = (
            "Redis does not answer (%s): the log is followed without it",
            (error,),
        )
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.exc_info = record.exc_text = None
        return True


outage = Outage()
logging.getLogger("channels_redis.pubsub").addFilter(outage)
