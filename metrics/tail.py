"""Follows the log: finds what other processes have committed, several times a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import Error, connection

from metrics import log
from metrics.bell import Committed
from metrics.gaps import Gaps
from metrics.models import Batch

logger = logging.getLogger(__name__)

LOOK_BATCHES = 500  # one look delivers so many at most: bounds the memory after a long break
BACK_IDS = 1000  # so far back an older transaction may still be open when the tail begins


class Tail(threading.Thread):
    """Calls `deliver` (on its own thread) for each batch that this process did not commit itself.

    Ids that were jumped over are asked for again, see metrics.gaps. A batch may be delivered
    twice (found here before the bell has rung), never not.
    """

    def __init__(self, deliver: Callable[[Committed], None], interval_ms: int) -> None:
        super().__init__(name="log-tail", daemon=True)
        self._deliver = deliver
        self._interval_s = interval_ms / 1000
        self._wake = threading.Event()
        self._ended = False
        self._own_lock = threading.Lock()
        self._own: set[int] = set()
        self._gaps = Gaps()
        self._after = log.newest_id()
        self._version = -1  # SQLite's data_version at the last look
        self._note_open_transactions(time.monotonic())

    def _note_open_transactions(self, now_s: float) -> None:
        """SQLite has one writer at a time: there an older id cannot appear later."""
        if connection.vendor != "sqlite":
            back = max(0, self._after - BACK_IDS)
            there = Batch.objects.filter(id__gt=back).values_list("id", flat=True)
            self._gaps.note(back, self._after, set(there), now_s)

    def saw(self, id: int) -> None:
        """Batch `id` was delivered by the bell; any thread."""
        with self._own_lock:
            self._own.add(id)

    def wake(self) -> None:
        """Another process rang: look now; any thread."""
        self._wake.set()

    def finish(self) -> None:
        """Ends the thread and waits for it."""
        self._ended = True
        self._wake.set()
        self.join()

    def run(self) -> None:
        failing = more = False
        try:
            while not self._ended:
                try:
                    more = (more or self._may_be_new()) and self.look(time.monotonic())
                    failing = False
                except Exception as error:
                    if not failing:
                        known = isinstance(error, Error)
                        logger.warning(
                            "the log cannot be read (%s): trying again",
                            error,
                            exc_info=None if known else error,
                        )
                    failing, more = True, False
                    self._version = -1
                    connection.close_if_unusable_or_obsolete()
                if not more:
                    self._wake.wait(self._interval_s)
                    self._wake.clear()
        finally:
            connection.close()

    def _may_be_new(self) -> bool:
        """SQLite tells for a few microseconds whether anybody else has written since the last
        time: most looks then need no query."""
        if connection.vendor != "sqlite":
            return True
        connection.ensure_connection()
        version = connection.connection.execute("PRAGMA data_version").fetchone()[0]
        changed, self._version = version != self._version, version
        return bool(changed)

    def look(self, now_s: float) -> bool:
        """Delivers what is new since the last look; `now_s` is a monotonic time.

        True when there is more than one look delivers.
        """
        new = Batch.objects.filter(id__gt=self._after).order_by("id")
        ids = list(new.values_list("id", flat=True)[:LOOK_BATCHES])
        found = {*ids, *self._late(now_s)}
        newest = ids[-1] if ids else self._after
        with self._own_lock:
            own = set(self._own)
        for committed in log.load(found - own):
            self._deliver(committed)
        self._gaps.note(self._after, newest, found | own, now_s)
        self._gaps.close(found | own)
        self._after = newest
        with self._own_lock:
            self._own -= {id for id in own if id <= newest}
        return len(ids) == LOOK_BATCHES

    def _late(self, now_s: float) -> list[int]:
        """Those of the missing ids that are there now."""
        late: list[int] = []
        missing = self._gaps.due(now_s)
        for start in range(0, len(missing), LOOK_BATCHES):
            rows = Batch.objects.filter(id__in=missing[start : start + LOOK_BATCHES])
            late += rows.values_list("id", flat=True)
        return late
