"""Ending in time: what does not stop by itself is left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

logger = logging.getLogger("dashboard.server")

STOP_TIMEOUT_S = 4.8  # of the five seconds that a stop may take


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


def leave_in_time() -> None:
    """End the process when a thread that hangs would keep it longer than a stop may take."""
    timer = threading.Timer(STOP_TIMEOUT_S, leave_now)
    timer.daemon = True
    timer.start()


def leave_now() -> None:
    """Everything that was acknowledged is on disk already; only courtesy is lost."""
    logger.error("something did not stop within %g s: leaving without it", STOP_TIMEOUT_S)
    logging.shutdown()
    os._exit(0)
