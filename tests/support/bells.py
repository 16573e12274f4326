"""The members of the channel group of two processes, in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from unittest import mock

from dashboard import group, layers, redis_url
from tests.support.waiting import aeventually

LEAVE_S = 5.0


class Bell:
    """One process's member, with a channel layer of its own."""

    def __init__(self, url: str) -> None:
        self.layer = layers.RedisLayer(hosts=redis_url.read(url))
        self.heard = 0
        self.rights = 0
        with mock.patch.object(group, "get_channel_layer", lambda: self.layer):
            self.group = group.Group(self._ring, self._rights)
        self.tasks = [asyncio.create_task(self.group.follow())]
        self.tasks += [asyncio.create_task(self.group.send())]

    def _ring(self) -> None:
        self.heard += 1

    def _rights(self) -> None:
        self.rights += 1

    async def reaches(self, other: Bell) -> None:
        """Rings until the other one hears it."""
        before = other.heard

        def rung() -> bool:
            self.group.ring()
            return other.heard > before

        await aeventually(rung, what="a ring is heard")


async def ring_each_other(one: Bell, other: Bell) -> None:
    await one.reaches(other)
    await other.reaches(one)


@asynccontextmanager
async def two_bells(url: str, other_url: str = "") -> AsyncIterator[tuple[Bell, Bell]]:
    """Both ring at once when this is entered."""
    bells = Bell(url), Bell(other_url or url)
    try:
        await ring_each_other(*bells)
        yield bells
        assert not any(task.done() for bell in bells for task in bell.tasks), "nobody died"
    finally:
        for bell in bells:
            for task in bell.tasks:
                task.cancel()
            # A client whose server is gone may swallow its being cancelled; the product does not
            # wait for it either.
            await asyncio.wait(bell.tasks, timeout=LEAVE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await bell.layer.flush()
