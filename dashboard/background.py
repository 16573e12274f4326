"""What runs beside the site in `serve`: the log's writer, the hub, and the jobs."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings

from dashboard import hub as hubs
from dashboard import selfmetrics
from dashboard.protocol import Close
from dashboard.server import state
from metrics import jobs as housekeeping
from metrics import publish, writer
from metrics.collector import DESCRIPTIONS, Collector, Machine

logger = logging.getLogger(__name__)


@asynccontextmanager
async def background(*, jobs: bool = True, collect: bool = True) -> AsyncIterator[None]:
    """Starts the writer and the hub, then the jobs; stops them in the opposite order.

    `jobs`: the keeper (metrics.jobs) and Pulseboard's own metrics; `collect`: this machine's.
    """
    writer.start()
    hub = await hubs.get()
    # What is there now stays: to look through it again for garbage stops all threads for 0.1 s.
    gc.collect()
    gc.freeze()
    forget = state.on_drain(lambda: hub.say_goodbye(Close.RESTART, "restarting"))
    stop = asyncio.Event()
    running: list[asyncio.Task[None]] = []
    if jobs:
        running.append(_task(selfmetrics.run(stop), "self-metrics"))
        running.append(_task(housekeeping.run(stop), "housekeeping"))
    if collect:
        machine = Machine([str(settings.DATA_DIR)])
        running.append(_task(Collector(machine, DESCRIPTIONS).run(stop), "collector"))
    try:
        yield
    finally:
        stop.set()
        gc.unfreeze()
        forget()
        await asyncio.gather(*running, return_exceptions=True)
        await hub.stop()
        await sync_to_async(publish.flush, thread_sensitive=False)(1.0)
        # Last: what is still being published is stored before the process ends.
        await asyncio.get_running_loop().run_in_executor(None, writer.stop)


def _task(job: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(job, name=name)
    task.add_done_callback(lambda done: _report(done, name))
    return task


def _report(done: asyncio.Task[None], name: str) -> None:
    if not done.cancelled() and done.exception() is not None:
        logger.error("%s has stopped working", name, exc_info=done.exception())
