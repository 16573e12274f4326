"""What the rest of the site may know of its server, and how it takes part in the server's end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger("dashboard.server")

Hook = Callable[[], Awaitable[None]]

HOOKS_TIMEOUT_S = 0.5  # of the five seconds that a stop may take


class State:
    """Whether this process serves, and whom to call when it stops."""

    def __init__(self) -> None:
        self.ready = False
        self.draining = False
        self._hooks: list[Hook] = []
        self._leave_hooks: list[Hook] = []

    def on_drain(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` when a stop begins, before sockets are closed; returns how to forget it."""
        return _add(self._hooks, hook)

    def on_leave(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` when another process has taken this one's place, before a stop begins: it
        may let clients go one by one. Returns how to forget it."""
        return _add(self._leave_hooks, hook)

    def begin_drain(self) -> None:
        """Be not ready from now on."""
        self.ready = False
        self.draining = True

    async def leave(self) -> None:
        """Be not ready from now on, and run the hooks of leaving."""
        self.begin_drain()
        await asyncio.gather(*(hook() for hook in self._leave_hooks))

    async def drain(self) -> None:
        """Be not ready from now on, and run the hooks; what they raise is logged."""
        self.begin_drain()
        calls = [asyncio.ensure_future(hook()) for hook in self._hooks]
        if not calls:
            return
        done, late = await asyncio.wait(calls, timeout=HOOKS_TIMEOUT_S)
        for call in late:
            call.cancel()
            logger.warning("a goodbye hook took longer than %g s", HOOKS_TIMEOUT_S)
        for call in done:
            if not call.cancelled() and call.exception() is not None:
                logger.error("a goodbye hook failed", exc_info=call.exception())


def _add(hooks: list[Hook], hook: Hook) -> Callable[[], None]:
    hooks.append(hook)
    return lambda: hooks.remove(hook) if hook in hooks else None


state = State()
