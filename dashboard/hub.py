"""This process's hub: batches in, frames out.

The only reader of the bell and of the log's tail in its process, the only owner of the head and
of the live queries, and the only member of the channel group. Touched only from its event loop;
other threads come in by call_soon_threadsafe.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django import db
from django.conf import settings

from dashboard import protocol
from dashboard.arrivals import Arrivals
from dashboard.feeds import EVENTS_KEPT, EventsFeed, MetricsFeed
from dashboard.granted import Granted
from dashboard.group import Group
from dashboard.members import Members
from dashboard.presence import SYNC_S, TICK_S, Presence
from dashboard.protocol import Close
from dashboard.queries import Queries
from dashboard.viewer import rights_gone
from metrics import bell, catalog, reader, stats, warm
from metrics.bell import Committed
from metrics.clock import now_ms
from metrics.head import Head
from metrics.tail import Tail
from metrics.threads import beside_loop

logger = logging.getLogger(__name__)

PULSE_S = 0.25  # how often steps that pass without samples are looked for
SECOND_S = 1.0
RIGHTS_S = 0.5  # what other processes take away ends sockets within a second
EXPIRE_S = 10.0
METRICS_S = 0.1  # at least this lies between two frames of the list of metrics

_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


async def get() -> Hub:
    """The running loop's hub, started at first use. Raises what keeps it from starting."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub(loop)
    await hub.start()
    return hub


def running() -> list[Hub]:
    """The hubs of this process (one, but in tests)."""
    return list(_hubs.values())


class Hub:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._starting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop_listening: Callable[[], None] = lambda: None
        self._tail: Tail | None = None
        self._arrivals = Arrivals()
        self._rights_changed = asyncio.Event()
        self.presence = Presence(loop, lambda: self._group.ring(people=True))
        self._group = Group(self._look_at_log, self._rights_changed.set, self.presence.news.set)
        self._held: list[Committed] | None = []  # what came before the past was read
        self._deletions = 0  # how far the catalog's were followed
        self._metrics_timer: asyncio.TimerHandle | None = None
        span_ms = settings.HEAD_SECONDS * 1000
        self.head = Head(now_ms() - span_ms, span_ms=span_ms, most_samples=settings.HEAD_SAMPLES)
        self.readers = ThreadPoolExecutor(2, thread_name_prefix="reader")
        self.members = Members(loop)
        self.granted = Granted(self.members.limit)
        self.queries = Queries(self.head, self.readers)
        self.events = EventsFeed()
        self.metrics = MetricsFeed(self.head)

    # -- life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Reads what the log holds and follows it; at once when that was done before."""
        if self._starting is None:
            self._starting = self._loop.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        try:
            # Listening comes before reading: what is committed in between arrives twice, never not.
            self._tail = await beside_loop(Tail, self._hand_over, settings.TAIL_MS)
            self._stop_listening = bell.listen(self._from_bell)
            most = settings.HEAD_SAMPLES
            recent = await beside_loop(warm.read_recent, self.head.since_ms, most)
            self.events.fill(await beside_loop(warm.newest_events, EVENTS_KEPT))
        except BaseException:
            self._stop_listening()
            _hubs.pop(self._loop, None)  # whoever comes next finds a new one, and tries again
            raise
        self.head.since_ms = max(self.head.since_ms, recent.since_ms)
        self.head.apply(recent.columns)
        self.queries.meet_new_series()
        held, self._held = self._held or [], None
        for committed in held:
            self._arrived(committed)
        self._tail.start()
        reader.use_head(self.head)
        self._run(self._every(PULSE_S, self._pulse))
        self._run(self._every(SECOND_S, self._count))
        self._run(self._every(RIGHTS_S, self._check_rights, self._rights_changed))
        self._run(self._every(SECOND_S, self._forget_deleted))
        self._run(self._every(protocol.HEARTBEAT_MS / 1000, self._heartbeat))
        self._run(self._every(EXPIRE_S, self._expire))
        self._run(self._every(SYNC_S, self.presence.sync, self.presence.news))
        self._run(self._every(TICK_S, self.presence.tick))
        self._run(self._group.follow())
        self._run(self._group.send())

    async def stop(self) -> None:
        """Ends the hub's threads and tasks; connections are the server's to close."""
        _hubs.pop(self._loop, None)
        self._stop_listening()
        tasks = [*self._tasks, *([self._starting] if self._starting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.presence.stop()
        if self._tail is not None and self._tail.is_alive():
            await self._loop.run_in_executor(None, self._tail.finish)
        self.readers.shutdown(wait=False, cancel_futures=True)
        reader.use_head(None)

    def _run(self, job: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _every(
        self,
        seconds: float,
        job: Callable[[], Awaitable[None]],
        sooner: asyncio.Event | None = None,
    ) -> None:
        failing = False
        sooner = sooner or asyncio.Event()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sooner.wait(), seconds)
            sooner.clear()
            try:
                await job()
                failing = False
            except db.Error as error:
                if not failing:
                    logger.warning("the database does not answer (%s): trying again", error)
                failing = True
            except Exception:
                logger.exception("a job of the hub failed: it goes on")

    # -- batches in ----------------------------------------------------------------------------

    def _from_bell(self, committed: Committed) -> None:
        if self._tail is not None:
            self._tail.saw(committed.id)
        self._hand_over(committed)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._group.ring)

    def tell_of_rights(self) -> None:
        """Tells the other processes that somebody's rights have changed; any thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._group.ring, True)

    def look_at_rights(self) -> None:
        """At once, whoever has changed them; any thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._rights_changed.set)

    def _look_at_log(self) -> None:
        if self._tail is not None:
            self._tail.wake()

    def _hand_over(self, committed: Committed) -> None:
        # A loop that has just closed needs no news.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived, committed)

    def _arrived(self, committed: Committed) -> None:
        if self._held is not None:
            self._held.append(committed)
            return
        known = catalog.known_ids()
        ids = set(committed.columns.series.tolist())
        strange = [id for id in ids if id not in known]
        if strange:
            self._run(self._learn_then_apply(committed, ids, strange))
        else:
            self._apply(committed, ids)

    async def _learn_then_apply(
        self, committed: Committed, ids: set[int], strange: list[int]
    ) -> None:
        try:
            await beside_loop(catalog.learn, strange)
        except Exception:
            logger.exception("series %s... could not be read", strange[:3])
        self._apply(committed, ids)

    def _apply(self, committed: Committed, ids: set[int]) -> None:
        if self._arrivals.is_known(committed):
            return
        met = self.queries.meet_new_series()
        if met:
            self.metrics.changed({known.name for known in met})
        for part in self._arrivals.take(committed):
            self.head.apply(part)
        self.queries.touch(committed.columns, committed.received_ns)
        if ids:
            self.metrics.touch(ids)
            self._flush_metrics_soon()
        if committed.events:
            self.events.add(committed.events, committed.received_ns)

    def _flush_metrics_soon(self) -> None:
        """At once when quiet; then at most once in METRICS_S."""
        if self._metrics_timer is None:
            self._flush_metrics()

    def _flush_metrics(self) -> None:
        self._metrics_timer = None
        if self.metrics.flush():
            self._metrics_timer = self._loop.call_later(METRICS_S, self._flush_metrics)

    # -- the clock -----------------------------------------------------------------------------

    async def _pulse(self) -> None:
        self.queries.pulse()

    async def _heartbeat(self) -> None:
        beat = protocol.encode(protocol.Heartbeat(now_ms()))
        for connection in self.members:
            connection.beat(beat)

    async def _count(self) -> None:
        stats.set("connections", len(self.members))
        stats.set("watches", sum(len(connection.watches) for connection in self.members))
        stats.set("live_queries", len(self.queries))
        stats.set("people", len(self.presence))
        stats.set("head_samples", self.head.samples())
        stats.set("head_series", len(self.head))

    async def _check_rights(self) -> None:
        viewers = self.members.viewers()
        if viewers:
            gone = await beside_loop(rights_gone, viewers)
            if gone:
                self.members.end_where(lambda viewer: gone.get(viewer, ""), Close.UNAUTHENTICATED)
        await self.granted.look(self.members.viewers())

    async def _forget_deleted(self) -> None:
        """Series may be deleted in any process, and a publisher here may have noticed first."""
        await beside_loop(catalog.catch_up)
        ids, self._deletions = catalog.deleted_since(self._deletions)
        if ids:
            self.head.drop(ids)
            self.queries.drop_series(set(ids))
            self.metrics.begin_anew()
            # Events may have been deleted with them (manage.py demo --remove).
            events = self.events.ids()
            stored = await beside_loop(warm.newest_events, EVENTS_KEPT)
            self.events.drop(events - {event.id for event in stored})

    async def _expire(self) -> None:
        self.head.expire(now_ms())
        self.queries.expire(time.monotonic())
        self.members.tidy()
        if self.metrics.watchers:
            self.metrics.changed(await beside_loop(catalog.load_metrics))
            self._flush_metrics_soon()

    # -- the end -------------------------------------------------------------------------------

    async def say_goodbye(self, close: Close, reason: str) -> None:
        """Tells every client that its socket closes now, and when to come back."""
        self.members.say_goodbye(close, reason)
