"""The keeper: what looks after the store, in one process at a time, a little at a time.

`STEPS` lists what is done. Each step works in small pieces; between them the keeper rests, so that
publishers and readers find the database and the processor free.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from django.db import Error, connection

from metrics import (
    commit,
    deleting,
    log,
    reserve,
    retention,
    rolling,
    sealing,
    settling,
    sizes,
    stats,
    vacuum,
)  # fmt: skip
from metrics.clock import now_ms
from metrics.lease import Lease, LeaseLost
from metrics.models import Receipt

logger = logging.getLogger(__name__)

RECEIPT_MS = 86_400_000  # a request is not retried after a day
OWN_RECEIPT_MS = 1_800_000  # this project's own buffers retry for minutes only
LOOK_S = 0.5  # for the lease, while another process has it: one that drains gives it back
AFTER_ERROR_S = 5.0
LONGEST_REST_S = 0.2
# Rest per work: the jobs take at most two thirds of one processor, and a publisher who waits for
# the database gets it before the next piece.
REST = 0.5

Work = Callable[[Lease, int], Iterator[object]]


@dataclass(frozen=True, slots=True)
class Step:
    """Something done again and again: every `every_s` seconds, or at once after `work` yielded.

    `work(lease, now_ms)` yields after each small piece and may be left at any of them; it renews
    the lease in every transaction that another keeper must not do too.
    """

    name: str
    every_s: float
    work: Work


def once(name: str, every_s: float, do: Callable[[int], object]) -> Step:
    """A step that is short enough to be one piece, done every so many seconds."""

    def work(lease: Lease, now: int) -> Iterator[object]:
        lease.renew()
        do(now)
        return iter(())

    return Step(name, every_s, work)


def seal(lease: Lease, now: int) -> Iterator[object]:
    """Seals one slice of the log, if that is due."""
    if sealing.is_due(now):
        began_s = time.monotonic()
        done = sealing.Sealed()
        yield from sealing.seal(lease, now, done)
        logger.info("sealed %s in %.1f s", done, time.monotonic() - began_s)


def add_up_deferred(now: int) -> None:
    """Adds up the increments that a dying process left."""
    commit.add_up_deferred()


def forget_receipts(now: int) -> None:
    """Forgets old Idempotency-Keys."""
    Receipt.objects.filter(created_at_ms__lt=now - RECEIPT_MS).delete()
    Receipt.objects.filter(scope="local", created_at_ms__lt=now - OWN_RECEIPT_MS).delete()


def measure_log(now: int) -> None:
    """Measures the log (a scan, so not every second)."""
    batches, size = log.size()
    stats.set("log_batches", batches)
    stats.set("log_bytes", size)


def roll(lease: Lease, now: int) -> Iterator[object]:
    """Rolls up one slice of chunks, unless room must be kept for what makes room."""
    return iter(()) if reserve.is_short() else rolling.roll(lease, now)


def settle(lease: Lease, now: int) -> Iterator[object]:
    """Settles one slice of late samples, unless room must be kept for what makes room."""
    return iter(()) if reserve.is_short() else settling.settle(lease, now)


STEPS = [
    once("deferred increments", 60, add_up_deferred),
    once("receipts", 60, forget_receipts),
    once("log size", 60, measure_log),
    Step("sealing", 5, seal),
    Step("deletion of sealed batches", 5, sealing.delete_sealed),
    Step("rolling up", 30, roll),
    Step("late samples", 600, settle),
    Step("deleted series", 10, deleting.sweep),
    Step("retention", 60, retention.expire),
    Step("measuring what is stored", 60, sizes.measure),
    Step("the disk budget", 60, retention.fit),
    Step("giving space back", 60, vacuum.give_back),
]


class Keeper:
    """Does the steps whenever they are due, while this process has the lease.

    `on_change` hears (True) that it has got the lease, or that it has not.
    """

    def __init__(
        self,
        steps: list[Step] | None = None,
        lease: Lease | None = None,
        on_change: Callable[[bool], None] = lambda here: None,
    ) -> None:
        self._due_s = {step: float("-inf") for step in (STEPS if steps is None else steps)}
        self._lease = Lease() if lease is None else lease
        self._on_change = on_change
        self._here: bool | None = None
        self._failing: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Works on this thread until `stop` is set, then gives the lease back."""
        try:
            while not stop.is_set():
                stop.wait(self.turn(stop))
        finally:
            with suppress(Error):
                self._lease.release()
            connection.close()

    def turn(self, stop: threading.Event) -> float:
        """Does what is due; returns how many seconds it may rest then."""
        try:
            connection.close_if_unusable_or_obsolete()
            if not self._take():
                return LOOK_S
            for step, due_s in self._due_s.items():
                if time.monotonic() >= due_s and not stop.is_set():
                    again = self._do(step, stop)
                    self._due_s[step] = time.monotonic() + (0.0 if again else step.every_s)
            self._lease.renew_when_due()
        except LeaseLost as lost:
            logger.warning("the background jobs pause here: %s", lost)
            return LOOK_S
        except Error as error:
            self._failed("lease", error)
            return AFTER_ERROR_S
        self._failing.discard("lease")
        next_s = min(self._due_s.values(), default=float("inf")) - time.monotonic()
        return max(0.0, min(next_s, LOOK_S))

    def _take(self) -> bool:
        here = self._lease.take()
        if here is not self._here:
            self._here = here
            self._on_change(here)
        if here:
            self._lease.renew_when_due()
        return here

    def _do(self, step: Step, stop: threading.Event) -> bool:
        """Does one step; whether there may be more of it to do at once.

        What goes wrong is logged, and keeps no other step from being done: retention must go on
        when there is no room for sealing.
        """
        pieces = 0
        try:
            began_s = time.monotonic()
            for _ in step.work(self._lease, now_ms()):
                pieces += 1
                worked_s = time.monotonic() - began_s
                if stop.wait(min(REST * worked_s, LONGEST_REST_S)):
                    break
                self._lease.renew_when_due()
                began_s = time.monotonic()
        except LeaseLost:
            raise
        except Error as error:
            self._failed(step.name, error)
            return False
        except Exception:
            logger.exception("%s failed; the other jobs go on", step.name)
            return False
        self._failing.discard(step.name)
        return pieces > 0

    def _failed(self, name: str, error: Error) -> None:
        if name not in self._failing:
            logger.warning("%s has to wait, the database says: %s", name, error)
        self._failing.add(name)
        connection.close()


async def run(stop: asyncio.Event) -> None:
    """Keeps the store, on a thread of its own, until `stop` is set."""
    end = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="keeper") as thread:
        kept = asyncio.get_running_loop().run_in_executor(thread, Keeper().run, end)
        told = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((kept, told), return_when=asyncio.FIRST_COMPLETED)
        finally:
            end.set()
            told.cancel()
        await kept
