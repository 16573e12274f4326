"""The background half of publish: a bounded buffer and the thread that empties it."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from multiprocessing.util import Finalize

from django.conf import settings
from django.db import connection

from metrics import catalog, intake, stats
from metrics.clock import now_ms
from metrics.refused import Refused
from metrics.samples import Sample

logger = logging.getLogger(__name__)

GATHER_S = 0.02  # at least this lies between two batches; after a pause nothing waits
BATCH_SAMPLES = 5_000
RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
RETRY_HURRIED_S = 0.1
ATTEMPTS = 100  # with the last pause that is eight minutes
MAY_HELP = (409, 503, 507)
REFUSALS = 100  # of one batch: then the rest of it is dropped
EXIT_S = 5.0
FORK_S = 2.0
COMPLAIN_S = 10.0  # a full buffer is not logged more often than this

Line = tuple[str, frozenset[tuple[str, str]]]


@dataclass
class Buffer:
    """What waits: readings in order, and increments already added up per series."""

    readings: list[Sample] = field(default_factory=list)
    increments: dict[Line, Sample] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.readings) + len(self.increments)

    def add(self, samples: list[Sample], most: int) -> bool:
        """Takes all of them, or none (and False) where that would make more than `most`.

        So a histogram's parts stay together.
        """
        lines = [_line(sample) for sample in samples]
        if len(self) + sum(line not in self.increments for line in lines) > most:
            return False
        for line, sample in zip(lines, samples, strict=True):
            if line is None:
                self.readings.append(sample)
            elif line in self.increments:
                self.increments[line].value += sample.value
            else:
                # A copy: it grows.
                self.increments[line] = Sample(
                    sample.metric, sample.value, dict(sample.labels), None, "increment"
                )
        return True

    def samples(self) -> list[Sample]:
        return [*self.readings, *self.increments.values()]


def _line(sample: Sample) -> Line | None:
    """What an increment adds to; None for a reading."""
    if sample.kind != "increment":
        return None
    return sample.metric, frozenset(sample.labels.items())


class Publisher:
    """Gathers samples from any thread and stores them on a thread of its own.

    A failing database is retried with the same Idempotency-Key, so that a batch whose answer was
    lost is not counted twice. The thread starts at the first sample, and again after a fork;
    what waits at that moment is the parent's to store.
    """

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._after_fork_in_parent,
            after_in_child=self._reset,
        )

    def _before_fork(self) -> None:
        """Lets the thread finish what it does with the database.

        A child would inherit SQLite's notes of locks that this process holds, and then wait for
        them for ever; or a module that is half imported.
        """
        if self._at_work.acquire(timeout=FORK_S):
            self._forking = threading.get_ident()

    def _after_fork_in_parent(self) -> None:
        if self._forking == threading.get_ident():
            self._forking = 0
            self._at_work.release()

    def _reset(self) -> None:
        self.dropped = 0
        self._changed = threading.Condition()
        self._buffer = Buffer()
        self._storing = 0  # taken out of the buffer and not yet stored
        self._thread: threading.Thread | None = None
        self._leaving = threading.Event()
        self._complained_s = float("-inf")
        self._at_work = threading.Lock()  # held while the thread uses the database
        self._forking = 0  # the thread that holds it in order to fork

    def put(self, samples: list[Sample]) -> None:
        """Never waits for the database. What does not fit is counted in `dropped`."""
        with self._changed:
            taken = self._buffer.add(samples, settings.PUBLISH_BUFFER)
            if self._thread is None:
                self._start()
            self._changed.notify_all()
        if not taken:
            self.drop(len(samples), "the buffer is full (setting PUBLISH_BUFFER)")
        if self._leaving.is_set():  # nobody flushes after this
            self._empty()

    def flush(self, timeout_s: float) -> bool:
        """Waits until nothing is left to store; False when that takes too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._buffer and not self._storing, timeout_s)

    def drop(self, count: int, why: str) -> None:
        """Counts samples that are lost, and says so, not too often."""
        with self._changed:
            self.dropped += count
            complain = time.monotonic() - self._complained_s > COMPLAIN_S
            if complain:
                self._complained_s = time.monotonic()
        stats.inc("dropped_samples_total", count)
        if complain:
            logger.warning("%d samples were dropped (%d so far): %s", count, self.dropped, why)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending: no thread is made any more
            self._leaving.set()
            return
        self._thread = thread
        if multiprocessing.parent_process() is None:
            atexit.register(self._leave)
        else:  # a child of multiprocessing ends without atexit
            Finalize(None, self._leave, exitpriority=100)

    def _leave(self) -> None:
        self._leaving.set()
        if not self.flush(EXIT_S):
            waiting = len(self._buffer) + self._storing
            self.drop(waiting, "the process ended before they could be stored")

    def _run(self) -> None:
        emptied_s = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._buffer))
            self._leaving.wait(max(0.0, emptied_s + GATHER_S - time.monotonic()))
            self._empty()
            emptied_s = time.monotonic()

    def _empty(self) -> None:
        """Stores, or drops, what waits now."""
        with self._changed:
            taken, self._buffer = self._buffer, Buffer()
            self._storing += len(taken)
        try:
            samples = taken.samples()
            for start in range(0, len(samples), BATCH_SAMPLES):
                self._store(samples[start : start + BATCH_SAMPLES])
        finally:
            with self._changed:
                self._storing -= len(taken)
                self._changed.notify_all()

    def _store(self, samples: list[Sample]) -> None:
        """Stores a batch; drops what is refused, without what is not to blame."""
        refusals = 0
        while samples:
            refused = self._try(samples)
            if refused is None:
                return
            refusals += 1
            rest = _without_the_refused(samples, refused, refusals)
            self.drop(len(samples) - len(rest), str(refused))
            samples = rest

    def _try(self, samples: list[Sample]) -> Refused | None:
        """Tries, again and again where that may help; why it did not work, or None."""
        # A reading stored twice is the same reading; only increments need the key.
        keyed = any(sample.kind == "increment" for sample in samples)
        key = uuid.uuid4().hex if keyed else None
        at_ms = now_ms()
        for attempt in range(ATTEMPTS):
            refused = self._accept(samples, at_ms, key)
            if refused is None or refused.status not in MAY_HELP:
                return refused
            # Wakes at once when the process ends, and hurries then.
            if self._leaving.wait(RETRY_S[min(attempt, len(RETRY_S) - 1)]):
                time.sleep(RETRY_HURRIED_S)
        return refused

    def _accept(self, samples: list[Sample], at_ms: int, key: str | None) -> Refused | None:
        with self._at_work:
            try:
                intake.accept(samples, now_ms=at_ms, key=key)
            except Refused as refused:
                return refused
            except Exception as error:
                logger.exception("a batch cannot be published")
                return Refused(500, "", f"{type(error).__name__}: {error}")
            finally:
                connection.close_if_unusable_or_obsolete()
                if connection.vendor == "sqlite":
                    connection.close()  # see _before_fork()
        return None


def _without_the_refused(samples: list[Sample], refused: Refused, refusals: int) -> list[Sample]:
    """What may be tried again.

    Without the one sample that is wrong; or, where new series are too many, without the new ones
    of that metric, and then without any new ones.
    """
    named = re.match(r"samples\[(\d+)\]", refused.item)
    if named is None or refusals > REFUSALS:
        return []
    culprit = samples[int(named[1])]
    if refused.status != 429:
        return [sample for sample in samples if sample is not culprit]
    return [
        sample
        for sample in samples
        if catalog.cached(catalog.key_of(sample.metric, sample.labels)) is not None
        or (refusals == 1 and sample.metric != culprit.metric)
    ]
