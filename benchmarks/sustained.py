"""Publishing without end: samples a second into the log while the keeper seals, rolls and deletes.

One child process on one core, with the two threads that the embedded server has for it: the
publisher appends as fast as it can, but no more than BACKLOG samples ahead of the sealing; the
keeper is the product's own, with its rests. `python -m benchmarks.sustained <samples>
<samples to be sealed alone>` prints one JSON object a line.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from benchmarks import keeping
from benchmarks.keeping import BATCH, Stopwatch
from benchmarks.processes import Helper, folder
from benchmarks.report import Report
from benchmarks.scale import Scale
from benchmarks.walks import HOUR_MS, SECOND_MS

if TYPE_CHECKING:
    from metrics.lease import Lease

TITLE = "Publishing and sealing on one core: samples per second until all is in chunks"
SERIES = 1_000
SAMPLES = 8_000_000
ALONE_SAMPLES = 2_000_000
BACKLOG = 4_000_000  # twice what sealing awaits
TIMEOUT_S = 150.0
LOOK_S = 0.1  # how often the keeper looks for work

SUSTAINED = "log.append beside the keeper, until all is sealed, rolled up, deleted"
PER_CPU = "the same, per second of processor time (the keeper rests between pieces)"
APPEND = f"log.append alone, {BATCH:,} samples at a time"
ALONE = f"sealing alone, {SERIES:,} series"
ROLLING = f"rolling up alone, {SERIES:,} series"


def run(scale: Scale, report: Report) -> None:
    report.note(
        f"one process on one core; {SERIES:,} series at 1 s, batches of {BATCH:,}, random walks "
        "with two decimals; windows are rolled up once their samples are sealed"
    )
    arguments = [str(scale.part(SAMPLES, SERIES)), str(scale.part(ALONE_SAMPLES, SERIES))]
    for _ in range(scale.repeats):
        with folder() as data, Helper("benchmarks.sustained", arguments, data) as helper:
            for line in helper.lines():
                said = json.loads(line)
                report.add(said["name"], "samples/s", said["value"])


def alone(samples: int) -> Iterator[tuple[str, float]]:
    """Appending, sealing, rolling up: one after the other."""
    ids = keeping.make_series(SERIES)
    ticks = samples // SERIES
    start_ms = int(time.time()) * SECOND_MS - 48 * HOUR_MS
    # Made before they are timed; so the samples wait in memory.
    batches = list(keeping.at_the_pace(ids, ticks, start_ms, SECOND_MS))
    watch = Stopwatch()
    count = keeping.append_all(batches)
    yield APPEND, count / watch.seconds()
    del batches
    watch = Stopwatch()
    keeping.seal_all()
    yield ALONE, count / watch.seconds()
    watch = Stopwatch()
    keeping.roll_all()
    yield ROLLING, count / watch.seconds()
    keeping.delete_sealed_all()


class Both:
    """The publisher's thread and the keeper's, over one store."""

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._published = 0
        self._all_published = False
        self._sealed = 0
        self._idle = threading.Event()  # the keeper found nothing left to do
        self._room = threading.Event()

    def run(self) -> tuple[float, float]:
        """Samples per second: of the clock, and of processor time."""
        from metrics import jobs
        from metrics.models import Series

        ids = list(Series.objects.order_by("id").values_list("id", flat=True))
        start_ms = int(time.time()) * SECOND_MS - 24 * HOUR_MS
        ticks = self._samples // len(ids)
        batches = keeping.at_the_pace(ids, ticks, start_ms, SECOND_MS)
        steps = [
            jobs.Step("sealing", LOOK_S, self._seal),
            jobs.Step("deletion", LOOK_S, self._delete),
            jobs.Step("rolling up", LOOK_S, self._roll),
            jobs.Step("the end", LOOK_S, self._end),
        ]
        stop = threading.Event()
        keeper = threading.Thread(target=jobs.Keeper(steps).run, args=(stop,))
        watch = Stopwatch()
        keeper.start()
        try:
            while some := list(islice(batches, 100)):
                self._wait_for_room()
                self._published += keeping.append_all(some)
            self._all_published = True
            if not self._idle.wait(TIMEOUT_S):
                raise RuntimeError(f"not all was sealed within {TIMEOUT_S:.0f} s")
            return self._published / watch.seconds(), self._published / watch.cpu_seconds()
        finally:
            stop.set()
            keeper.join()

    def _wait_for_room(self) -> None:
        while self._published - self._sealed > BACKLOG:
            self._room.clear()
            self._room.wait(1.0)

    def _seal(self, held: Lease, now_ms: int) -> Iterator[object]:
        """As the product's step, or whatever waits once all is published."""
        from metrics import sealing

        now_ms += keeping.AHEAD_MS
        if self._all_published or self._published - self._sealed >= sealing.SEAL_SAMPLES:
            done = sealing.Sealed()
            yield from sealing.seal(held, now_ms, done)
            self._sealed += done.samples
            self._room.set()

    def _delete(self, held: Lease, now_ms: int) -> Iterator[object]:
        from metrics import sealing

        return sealing.delete_sealed(held, now_ms + keeping.AHEAD_MS + 2 * sealing.KEEP_SEALED_MS)

    def _roll(self, held: Lease, now_ms: int) -> Iterator[object]:
        """Rolls up what ended before the oldest sample that is not sealed."""
        from django.db.models import Min

        from metrics import rolling
        from metrics.models import Batch

        waiting = Batch.objects.filter(sealed_at_ms__isnull=True)
        oldest_ms = waiting.aggregate(at=Min("start_ms"))["at"]
        if oldest_ms is not None:
            now_ms = oldest_ms + rolling.ROLL_AFTER_MS
        elif not self._all_published:
            return iter(())
        return rolling.roll(held, now_ms)

    def _end(self, held: Lease, now_ms: int) -> Iterator[object]:
        from metrics.models import Batch, Chunk

        if self._all_published and self._sealed >= self._published:
            rolled = not Chunk.objects.filter(resolution_ms=0, rolled=False).exists()
            if rolled and Batch.objects.count() <= 1:  # the newest stays
                self._idle.set()
        return iter(())


def main(arguments: list[str]) -> None:
    keeping.open_store()
    for name, value in alone(int(arguments[1])):
        print(json.dumps({"name": name, "value": value}), flush=True)
    for name, value in zip((SUSTAINED, PER_CPU), Both(int(arguments[0])).run(), strict=True):
        print(json.dumps({"name": name, "value": value}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
