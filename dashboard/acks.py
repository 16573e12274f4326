"""How much may be on its way to a client of a server that never pushes back.

Such a server (daphne, for one) takes whatever it is given and keeps it for a client that does not
read. So the client says how many messages it has received, and only so much waits unacknowledged.
"""

from __future__ import annotations

import asyncio
from collections import deque

ACK_MS = 500  # how often a client has to say `ack`, at least
UNACKED_BYTES = 256 * 1024
PATIENCE_S = 10.0


class TooSlow(Exception):
    """The client acknowledged nothing for too long; str() is the sentence for the close frame."""


class Window:
    """What was sent and not acknowledged. `patience_s` is how long nothing may be acknowledged
    while something waits to be sent."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._acknowledged = 0  # messages
        self._progress = asyncio.Event()

    def acknowledge(self, messages: int) -> None:
        """The client has received this many since the socket was opened; more than were sent
        count as all of them."""
        while self._sizes and self._acknowledged < messages:
            self._acknowledged += 1
            self._bytes -= self._sizes.popleft()
            self._progress.set()

    async def admit(self, size: int) -> None:
        """Waits until a message of `size` bytes may be sent, and notes it. Raises TooSlow."""
        while self._sizes and self._bytes + size > UNACKED_BYTES:
            self._progress.clear()
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._progress.wait()
            except TimeoutError:
                raise TooSlow(
                    f"nothing was acknowledged for {self._patience_s:g} s while more was waiting"
                ) from None
        self._sizes.append(size)
        self._bytes += size
