"""The process's one member of the channel group: rings for others, and listens for their ring.

A ring says "look at the log" (or at rights, or at who is on a dashboard), nothing more. Without it
the log's tail finds everything a little later, so a layer that fails, drops, repeats or reorders
costs milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from channels.layers import get_channel_layer

from dashboard import layers

logger = logging.getLogger(__name__)

RENEW_S = 3600.0  # a layer forgets its members after a day (group_expiry)
RETRY_S = (1.0, 4.0)
SEND_S = 5.0  # a server that is paused would hold a ring, and those after it, for ever
PAUSE_S = 0.005  # between two rings: what is committed meanwhile shares the next


class Group:
    """Touched only from the event loop. `on_ring` is called when another process rings,
    `on_rights` when it says that somebody's rights have changed, `on_people` when it says that
    somebody has come to a dashboard or left it."""

    def __init__(
        self,
        on_ring: Callable[[], None],
        on_rights: Callable[[], None] = lambda: None,
        on_people: Callable[[], None] = lambda: None,
    ) -> None:
        self._layer: Any = get_channel_layer()
        self._on_ring = on_ring
        self._on_rights = on_rights
        self._on_people = on_people
        self._news = asyncio.Event()
        self._rights = self._people = False
        self._name = uuid.uuid4().hex  # our own rings come back to us too

    def ring(self, rights: bool = False, people: bool = False) -> None:
        """Tells the other processes that there is something new; many calls may be one ring."""
        self._rights |= rights
        self._people |= people
        self._news.set()

    async def send(self) -> None:
        """Sends the rings, for ever; nothing to do where the layer is of this process only."""
        while isinstance(self._layer, layers.RedisLayer):
            await self._news.wait()
            self._news.clear()
            message = {"type": "bell", "from": self._name}
            if self._rights:
                message["rights"] = "changed"
            if self._people:
                message["people"] = "changed"
            self._rights = self._people = False
            try:
                async with asyncio.timeout(SEND_S):
                    await self._layer.group_send(layers.BELL_GROUP, message)
                await asyncio.sleep(PAUSE_S)
            except Exception as error:
                logger.debug("the channel layer does not take a ring: %r", error)
                await asyncio.sleep(RETRY_S[0])

    async def follow(self) -> None:
        """Listens for rings, for ever."""
        layer = self._layer
        wait_s, most_s = RETRY_S
        while True:
            channel = ""
            try:
                channel = await layer.new_channel("pulseboard")
                await layer.group_add(layers.BELL_GROUP, channel)
                wait_s = RETRY_S[0]
                await self._listen(channel, time.monotonic() + RENEW_S)
                await layer.group_discard(layers.BELL_GROUP, channel)
            except Exception as error:
                level = logging.WARNING if wait_s == RETRY_S[0] else logging.DEBUG
                logger.log(level, "the channel layer does not answer (%s): trying again", error)
                with contextlib.suppress(Exception):
                    # Otherwise a channel that nobody reads would go on collecting rings.
                    await layer.group_discard(layers.BELL_GROUP, channel)
                await asyncio.sleep(wait_s)
                wait_s = min(most_s, 2 * wait_s)

    async def _listen(self, channel: str, until_s: float) -> None:
        while time.monotonic() < until_s:
            try:
                async with asyncio.timeout(RENEW_S):
                    message = await self._layer.receive(channel)
            except TimeoutError:
                return
            if message.get("from") == self._name:
                continue
            self._on_ring()
            if message.get("rights"):
                self._on_rights()
            if message.get("people"):
                self._on_people()
