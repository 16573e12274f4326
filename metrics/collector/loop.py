"""The loop around a measurement: each whole second, measure and publish."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from django.db import DatabaseError, InterfaceError, connections

from metrics import catalog, publish
from metrics.catalog import Description
from metrics.clock import now_ms as wall_clock_ms
from metrics.collector.schedule import Schedule
from metrics.refused import Refused
from metrics.samples import Sample

logger = logging.getLogger(__name__)

SECOND_MS = 1000

Measure = Callable[[int], Sequence[Sample]]
Record = Callable[[Sequence[Sample]], object]
Describe = Callable[[Mapping[str, Description]], object]


class Stop(Protocol):
    """What threading.Event does: waits at most so many seconds; True when it is set."""

    def wait(self, timeout: float, /) -> bool: ...


class Collector:
    """Calls `measure` each `interval_ms` and publishes what it returns.

    A measurement that cannot be published is lost, logged when that begins and when it ends, and
    the next one is tried: the collector itself goes on until it is told to stop.
    """

    def __init__(
        self,
        measure: Measure,
        descriptions: Mapping[str, Description],
        *,
        interval_ms: int = SECOND_MS,
        name: str = "collector",
        record: Record = publish.record,
        describe: Describe = catalog.describe,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._measure = measure
        self._descriptions = descriptions
        self._schedule = Schedule(interval_ms)
        self._name = name
        self._record = record
        self._describe = describe
        self._clock_ms = clock_ms
        self._described: set[str] = set()
        self._trouble = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Collects until `stop` is set; measuring and publishing happen in a thread of its own."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        try:
            while True:
                due_ms, wait_s = self._next()
                if await _set_within(stop, wait_s):
                    return
                await loop.run_in_executor(thread, self._collect_or_log, due_ms)
        finally:
            thread.submit(connections.close_all)
            thread.shutdown(wait=False)

    def run_alone(self, stop: Stop) -> None:
        """Collects in this thread until `stop` is set."""
        while True:
            due_ms, wait_s = self._next()
            if stop.wait(wait_s):
                return
            self._collect_or_log(due_ms)

    def collect(self, time_ms: int) -> int:
        """Measures and publishes once, and returns how many samples that were.

        Raises what publishing raises: Refused, or Django's DatabaseError.
        """
        samples = self._measure(time_ms)
        self._describe_new({sample.metric for sample in samples} - self._described)
        self._record(samples)
        return len(samples)

    def _describe_new(self, names: set[str]) -> None:
        # Only what this machine really has: a described metric shows up in the list of metrics.
        if names:
            known = self._descriptions
            self._describe({name: known[name] for name in sorted(names) if name in known})
            self._described |= names

    def _next(self) -> tuple[int, float]:
        now_ms = self._clock_ms()
        return self._schedule.next_ms(now_ms), self._schedule.wait_s(now_ms)

    def _collect_or_log(self, due_ms: int) -> None:
        try:
            self.collect(self._schedule.stamp(due_ms, self._clock_ms()))
        except (DatabaseError, InterfaceError) as error:
            connections.close_all()  # a broken one would stay broken in this thread
            self._log_trouble(f"the database says: {error}")
        except Refused as error:
            self._log_trouble(str(error))
        except Exception:
            logger.exception("The %s failed; it tries again next time.", self._name)
        else:
            self._log_recovery()

    def _log_trouble(self, trouble: str) -> None:
        if trouble != self._trouble:
            logger.warning(
                "The %s cannot publish and goes on trying: %s", self._name, trouble.rstrip(".")
            )
            self._trouble = trouble

    def _log_recovery(self) -> None:
        if self._trouble:
            logger.warning("The %s publishes again.", self._name)
            self._trouble = ""


async def _set_within(stop: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await stop.wait()
    except TimeoutError:
        return False
