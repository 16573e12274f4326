"""Ending in time: what does not stop by itself is left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

logger = logging.getLogger("dashboard.server")

STOP_TIMEOUT_S = 4.8  # of the five seconds that a stop may take
FORCED_STOP_TIMEOUT_S = 1.0  # after a second signal


@asynccontextmanager
async def leaving_within(
    seconds_left: Callable[[], float], inner: AbstractAsyncContextManager[Any]
) -> AsyncIterator[None]:
    """`inner`, but leaving it may not take longer than the seconds that are left then."""
    await inner.__aenter__()
    try:
        yield
    finally:
        timeout_s = seconds_left()
        try:
            async with asyncio.timeout(timeout_s):
                await inner.__aexit__(*sys.exc_info())
        except TimeoutError:
            logger.error("the background did not stop within %.1f s", timeout_s)


def leave_in_time(timeout_s: float = STOP_TIMEOUT_S) -> None:
    """End the process when a thread that hangs would keep it longer than a stop may take."""
    timer = threading.Timer(timeout_s, leave_now, (timeout_s,))
    timer.daemon = True
    timer.start()


def leave_now(after_s: float = STOP_TIMEOUT_S) -> None:
    """Everything that was acknowledged is on disk already; only courtesy is lost."""
    logger.error("something did not stop within %g s: leaving without it", after_s)
    leave_at_once()


def leave_at_once() -> None:
    """End the process, exit code 0: to take its modules apart first takes Python half a second,
    and several on a busy machine."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(0)
