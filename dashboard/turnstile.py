"""Newcomers in turns: a crowd that opens sockets, after a restart say, leaves time for others.

Letting one in costs a sixth of a millisecond at once and some four times that soon after. When
hundreds ask at the same time each turn of the event loop lets in a few, in order of arrival, so a
request on another connection (a publisher's, say) waits for short turns and not for the crowd.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

A_TURN = 2

logger = logging.getLogger(__name__)


class Turnstile:
    """Of one event loop. Who comes alone passes at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._passed = 0  # in this turn

    @staticmethod
    def of_loop() -> Turnstile:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        turnstile = _turnstiles.get(loop)
        if turnstile is None:
            turnstile = _turnstiles[loop] = Turnstile(loop)
        return turnstile

    def enter(self, let_in: Callable[[], None]) -> bool:
        """Calls `let_in` now, or when it is its turn; whether that was now."""
        if self._passed >= A_TURN:
            self._waiting.append(let_in)
            return False
        if not self._passed:
            self._loop.call_soon(self._turn)
        self._passed += 1
        let_in()
        return True

    def _turn(self) -> None:
        self._passed = min(A_TURN, len(self._waiting))
        if self._passed:
            self._loop.call_soon(self._turn)
        for _ in range(self._passed):
            let_in = self._waiting.popleft()
            try:
                let_in()
            except Exception:
                logger.exception("a newcomer could not be let in")


_turnstiles: WeakKeyDictionary[asyncio.AbstractEventLoop, Turnstile] = WeakKeyDictionary()
