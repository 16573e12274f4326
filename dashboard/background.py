"""What runs beside the site in `serve`: the log's writer, the hub, and the jobs."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings

from dashboard import hub as hubs
from dashboard import selfmetrics
from dashboard.child import COLLECT, LEFT, MEASURE, Leash
from dashboard.garbage import set_apart
from dashboard.letting_go import let_go
from dashboard.protocol import Close
from dashboard.server import state
from metrics import jobs as housekeeping
from metrics import publish, writer
from metrics.collector import DESCRIPTIONS, Collector, Machine

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Roles:
    """What this process does beside serving."""

    jobs: bool = True  # the keeper (metrics.jobs) and Pulseboard's own metrics
    collect: bool = True  # this machine's; of several processes the one that is told to
    process: str = ""  # tells this process's own metrics from those of others
    event: str = "Pulseboard started"  # published with the first own metrics; empty: none
    leash: Leash | None = None  # of several processes


ALONE = Roles()


@asynccontextmanager
async def background(roles: Roles = ALONE) -> AsyncIterator[None]:
    """Starts the writer and the hub, then the jobs; stops them in the opposite order.

    When a drain begins the jobs end at once, and the lease is given back, so that another process
    goes on with them while this one still closes its connections.
    """
    writer.start()
    hub = await hubs.get()
    set_apart()
    jobs = Jobs(roles)

    async def goodbye() -> None:
        jobs.stop()
        await hub.say_goodbye(Close.RESTART, "restarting")

    async def leave() -> None:
        jobs.stop()
        await let_go(hub.members)

    forget = [state.on_drain(goodbye), state.on_leave(leave)]
    try:
        yield
    finally:
        jobs.stop()
        gc.unfreeze()
        for one in forget:
            one()
        await jobs.ended()
        await hub.stop()
        await sync_to_async(publish.flush, thread_sensitive=False)(1.0)
        # Last: what is still being published is stored before the process ends.
        await asyncio.get_running_loop().run_in_executor(None, writer.stop)


class Jobs:
    """The jobs of a process, from its start to its drain."""

    def __init__(self, roles: Roles) -> None:
        self._stop = asyncio.Event()
        self._leash = roles.leash
        running = []
        if roles.jobs:
            measure = partial(selfmetrics.run, self._stop, roles.process, roles.event)
            running.append(_task(self._when_told(MEASURE, measure), "self-metrics"))
            running.append(_task(housekeeping.run(self._stop), "housekeeping"))
        if roles.collect:
            running.append(_task(self._when_told(COLLECT, self._collect), "collector"))
        self._all = asyncio.ensure_future(self._until_ended(running))

    def stop(self) -> None:
        """Has them end soon."""
        self._stop.set()

    async def ended(self) -> None:
        """Waits until all have ended."""
        await self._all

    async def _until_ended(self, running: list[asyncio.Task[None]]) -> None:
        await self._stop.wait()
        await asyncio.gather(*running, return_exceptions=True)
        if self._leash is not None:
            self._leash.say(LEFT)

    async def _when_told(self, word: str, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Of several processes one at a time may do it: the supervisor says which."""
        if self._leash is not None:
            told = asyncio.ensure_future(self._leash.told[word].wait())
            stopped = asyncio.ensure_future(self._stop.wait())
            await asyncio.wait((told, stopped), return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            stopped.cancel()
        if not self._stop.is_set():
            await job()

    async def _collect(self) -> None:
        machine = Machine([str(settings.DATA_DIR)])
        await Collector(machine, DESCRIPTIONS).run(self._stop)


def _task(job: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(job, name=name)
    task.add_done_callback(lambda done: _report(done, name))
    return task


def _report(done: asyncio.Task[None], name: str) -> None:
    if not done.cancelled() and done.exception() is not None:
        logger.error("%s has stopped working", name, exc_info=done.exception())
