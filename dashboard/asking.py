"""Questions to the database that many ask at the same time: asked once, and many in one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

from metrics.threads import beside_loop

GATHER_S = 0.01  # between two questions: in a storm the next one is for many
MOST_KEPT = 10_000  # answers

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class Began(NamedTuple):
    """When answers were read: how often all had been forgotten, and until when they hold."""

    age: int
    until_s: float


class Kept(NamedTuple):
    answer: object
    age: int
    until_s: float


class Asking(Generic[Key, Answer]):
    """Answers by key, for whoever runs on the event loop.

    `ask` is called on a thread, at once when it was quiet, and else with all the keys that came
    meanwhile; it gives the answers it found. These are kept for `keep_s`; that there is none is
    not kept.
    """

    def __init__(
        self,
        ask: Callable[[set[Key]], Mapping[Key, Answer]],
        keep_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._keep_s = keep_s
        self._clock = clock
        self._age = 0  # how often all was forgotten
        self._kept: dict[Key, Kept] = {}
        self._begin_with(None)

    def _begin_with(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._waiting: dict[Key, asyncio.Future[Answer | None]] = {}
        self._asked: dict[Key, asyncio.Future[Answer | None]] = {}
        self._asked_age = 0
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: Key) -> Answer | None:
        """The answer; None if there is none. Raises what asking raises."""
        kept = self._kept.get(key)
        if kept is not None and kept.age == self._age and self._clock() < kept.until_s:
            return kept.answer  # type: ignore[return-value]
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._begin_with(loop)
        # Who asks after something was forgotten must not be told what was read before.
        future = self._asked.get(key) if self._asked_age == self._age else None
        future = future or self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = loop.create_future()
            if self._task is None:
                self._task = loop.create_task(self._work())
        return await asyncio.shield(future)

    def forget(self) -> None:
        """From now on nobody is told what was read before; any thread."""
        self._age += 1

    def begin(self) -> Began:
        """To be called before answers are read that keep() will be given; any thread."""
        return Began(self._age, self._clock() + self._keep_s)

    def keep(self, answers: Mapping[Key, Answer], began: Began) -> None:
        """Tells these to who asks next, unless something was forgotten since; any thread."""
        if not self._keep_s:
            return
        if len(self._kept) + len(answers) > MOST_KEPT:
            self._kept.clear()
        self._kept.update({key: Kept(answer, *began) for key, answer in answers.items()})

    async def _work(self) -> None:
        try:
            while self._waiting:
                self._asked, self._waiting = self._waiting, {}
                await self._answer(self._asked)
                self._asked = {}
                await asyncio.sleep(GATHER_S)
        finally:
            self._task = None

    async def _answer(self, asked: dict[Key, asyncio.Future[Answer | None]]) -> None:
        began = self.begin()
        self._asked_age = began.age
        try:
            found = await beside_loop(self._ask, set(asked))
        except Exception as error:
            for future in asked.values():
                future.set_exception(error)
            return
        self.keep(found, began)
        for key, future in asked.items():
            future.set_result(found.get(key))
