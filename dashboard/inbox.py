"""What asyncio's Queue and Event do, for one who waits: a twentieth of their memory.

Thousands of sockets are idle at any time, and each has a queue and an event of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any


class Gate:
    """asyncio.Event, as far as it is needed here."""

    __slots__ = ("_open", "_waiting")

    def __init__(self, is_open: bool) -> None:
        self._open = is_open
        self._waiting: asyncio.Future[None] | None = None  # shared by all who wait

    def is_set(self) -> bool:
        return self._open

    def set(self) -> None:
        self._open = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def clear(self) -> None:
        self._open = False

    async def wait(self) -> None:
        while not self._open:
            if self._waiting is None:
                self._waiting = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiting)


class Inbox:
    """asyncio.Queue without a bound, as far as it is needed here."""

    __slots__ = ("_filled", "_messages")

    def __init__(self) -> None:
        self._messages: deque[Any] | None = None
        self._filled = Gate(is_open=False)

    def empty(self) -> bool:
        return self._messages is None

    def qsize(self) -> int:
        return len(self._messages or ())

    def put_nowait(self, message: Any) -> None:
        if self._messages is None:
            self._messages = deque()
        self._messages.append(message)
        self._filled.set()

    async def get(self) -> Any:
        while self._messages is None:
            await self._filled.wait()
        message = self._messages.popleft()
        if not self._messages:
            self._messages = None
            self._filled.clear()
        return message
