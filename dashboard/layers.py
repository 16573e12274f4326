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

from collections.abc import Mapping
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from channels.layers import InMemoryChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from metrics import intake
from metrics.clock import now_ms
from metrics.samples import EventSample

EVENTS_GROUP = "pulseboard.events"
BELL_GROUP = "pulseboard.bell"


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

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if group == EVENTS_GROUP:
            await publish(message)
        else:
            # Its methods are made by its __getattr__, so there is none to call by super().
            await self.__getattr__("group_send")(group, message)
