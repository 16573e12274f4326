"""The process's one member of the channel group: rings for others, and listens for their ring.

A ring says "look at the log", nothing more. Without it the log's tail finds everything a little
later, so a layer that fails or drops messages costs milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from channels.layers import get_channel_layer

from dashboard import layers

logger = logging.getLogger(__name__)

RENEW_S = 3600.0  # a layer forgets its members after a day (group_expiry)
RETRY_S = (2.0, 30.0)


class Group:
    """Touched only from the event loop. `on_ring` is called when somebody rings."""

    def __init__(self, on_ring: Callable[[], None]) -> None:
        self._on_ring = on_ring
        self._news = asyncio.Event()

    def ring(self) -> None:
        """Tells the other processes that there is something new; many calls may be one ring."""
        self._news.set()

    async def send(self) -> None:
        """Sends the rings, for ever; nothing to do where the layer is of this process only."""
        layer: Any = get_channel_layer()
        while isinstance(layer, layers.RedisLayer):
            await self._news.wait()
            self._news.clear()
            try:
                await layer.group_send(layers.BELL_GROUP, {"type": "bell"})
            except Exception as error:
                logger.debug("the channel layer does not take a ring: %s", error)
                await asyncio.sleep(RETRY_S[0])

    async def follow(self) -> None:
        """Listens for rings, for ever."""
        layer: Any = get_channel_layer()
        wait_s, most_s = RETRY_S
        while True:
            try:
                channel = await layer.new_channel("pulseboard")
                await layer.group_add(layers.BELL_GROUP, channel)
                wait_s = RETRY_S[0]
                renew_at_s = time.monotonic() + RENEW_S
                while time.monotonic() < renew_at_s:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(layer.receive(channel), RENEW_S)
                    self._on_ring()
                await layer.group_discard(layers.BELL_GROUP, channel)
            except Exception as error:
                logger.warning("the channel layer does not answer (%s): trying again", error)
                await asyncio.sleep(wait_s)
                wait_s = min(most_s, 2 * wait_s)
