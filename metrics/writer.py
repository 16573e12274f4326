"""Group commit: one thread writes what has come from all publishers of this process.

While a commit is on its way to the disk, the next requests gather; so an idle server answers at
once and a busy one shares its commits. Nothing waits for a timer.
"""

from __future__ import annotations

import logging
import os
import queue
import threading

from django.db import connection

from metrics import commit
from metrics.entry import Entry
from metrics.refused import Refused

logger = logging.getLogger(__name__)

WAITING_SAMPLES = 1_000_000  # beyond this, publishers are asked to come back
COMMIT_SAMPLES = 50_000  # one transaction: bounds how long a publisher waits for others
COMMIT_ENTRIES = 1_000

_current: Writer | None = None


def current() -> Writer | None:
    """This process's writer, if one was started."""
    return _current


def start() -> Writer:
    """Starts this process's writer (the server does; other processes commit by themselves)."""
    global _current
    if _current is None:
        _current = Writer()
        _current.start()
    return _current


def stop() -> None:
    """Commits what waits, then ends the writer."""
    global _current
    running, _current = _current, None
    if running is not None:
        running.finish()


def _after_fork() -> None:
    """The thread stayed with the parent: a child commits by itself."""
    global _current
    _current = None


os.register_at_fork(after_in_child=_after_fork)


class Writer(threading.Thread):
    """The thread that writes. What waits for it is bounded."""

    def __init__(self) -> None:
        super().__init__(name="log-writer", daemon=True)
        self._entries: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._open = True

    def submit(self, entry: Entry) -> None:
        """Queues an entry; its `done` is set once it is durable. Raises Refused(503) when full."""
        with self._lock:
            if not self._open:
                raise Refused(503, "", "the server is stopping: nothing was stored, try again")
            if self._waiting and self._waiting + _weight(entry) > WAITING_SAMPLES:
                raise Refused(503, "", "too many samples wait for the disk: try again")
            self._waiting += _weight(entry)
            self._entries.put(entry)

    def finish(self) -> None:
        with self._lock:
            self._open = False
            self._entries.put(None)
        self.join()

    def run(self) -> None:
        try:
            while (entries := self._gather()) is not None:
                self._commit(entries)
        finally:
            connection.close()

    def _gather(self) -> list[Entry] | None:
        """The next entry and all that wait behind it, up to a commit's size; None at the end."""
        entry = self._entries.get()
        entries = []
        samples = 0
        while entry is not None:
            entries.append(entry)
            samples += entry.stored
            if samples >= COMMIT_SAMPLES or len(entries) >= COMMIT_ENTRIES:
                return entries
            try:
                entry = self._entries.get_nowait()
            except queue.Empty:
                return entries
        self._entries.put(None)  # for the next call
        return entries or None

    def _commit(self, entries: list[Entry]) -> None:
        try:
            outcomes = commit.write_or_refuse(entries)
        except Exception as error:
            logger.exception("the log writer failed on %d entries", len(entries))
            outcomes = [error] * len(entries)
        with self._lock:
            self._waiting -= sum(map(_weight, entries))
        for entry, outcome in zip(entries, outcomes, strict=True):
            if not entry.done.set_running_or_notify_cancel():
                continue
            if isinstance(outcome, Exception):
                entry.done.set_exception(outcome)
            else:
                entry.done.set_result(outcome)


def _weight(entry: Entry) -> int:
    """An entry costs something even when it holds nothing."""
    return 1 + entry.stored
