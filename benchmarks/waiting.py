"""How long publishers wait for their commits while the keeper works beside them.

One child process on one core, as the embedded server: a publisher's thread whose entries the log's
writer commits, and the product's keeper with its rests. `python -m benchmarks.waiting <series>
<seconds>` prints one JSON object a line.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import keeping, walks
from benchmarks.keeping import AHEAD_MS
from benchmarks.processes import Helper, folder
from benchmarks.report import Report, quantile
from benchmarks.scale import Scale
from benchmarks.walks import HOUR_MS, SECOND_MS

if TYPE_CHECKING:
    from metrics.lease import Lease

TITLE = "A commit's wait while the store is looked after"
SERIES = 10_000  # that are sealed, and as many that are deleted
TICKS = 200
SAMPLES = 100  # a commit
RATE = 100  # commits a second
WINDOWS = 6  # of the series that are deleted
WINDOW_SAMPLES = 720
TIMEOUT_S = 120.0

Work = Callable[["Lease", int], Iterator[object]]


def run(scale: Scale, report: Report) -> None:
    series = scale.part(SERIES)
    report.note(
        f"one process on one core: {RATE} commits a second of {SAMPLES} samples each by a thread, "
        "through the log's writer; the keeper with its rests on another; until the keeper's work "
        "is done, or a slice of it"
    )
    report.note(
        f"sealed and rolled up: {series:,} series of {TICKS} samples; deleted: a metric of "
        f"{series:,} series with {WINDOWS} chunks of {WINDOW_SAMPLES} samples each"
    )
    arguments = [str(series), str(scale.window_s)]
    for _ in range(scale.repeats):
        with folder() as data, Helper("benchmarks.waiting", arguments, data) as helper:
            for line in helper.lines():
                said = json.loads(line)
                report.add(said["name"], said["unit"], said["value"])


class Publisher(threading.Thread):
    """Publishes at RATE until it is told to end; remembers how long each commit took."""

    def __init__(self, ids: list[int]) -> None:
        super().__init__(name="publisher")
        self.error: Exception | None = None
        self._ids = np.array(ids, np.int64)
        self._took_ms: list[float] = []
        self._end = threading.Event()

    def run(self) -> None:
        try:
            self._publish()
        except Exception as error:
            self.error = error

    def _publish(self) -> None:
        from metrics.clock import now_ms
        from metrics.columns import Columns

        next_s = time.perf_counter()
        while not self._end.is_set():
            columns = Columns(
                self._ids, np.full(len(self._ids), now_ms()), np.zeros(len(self._ids))
            )
            began_s = time.perf_counter()
            keeping.append(columns)
            self._took_ms.append(1000 * (time.perf_counter() - began_s))
            # One that was late is not made up for: the rate is that of a patient publisher.
            next_s = max(next_s + 1 / RATE, time.perf_counter())
            self._end.wait(next_s - time.perf_counter())

    def taken_ms(self) -> list[float]:
        """The waits since it was asked last. Raises what the publisher failed of."""
        if self.error is not None:
            raise self.error
        taken, self._took_ms = self._took_ms, []
        return taken

    def stop(self) -> None:
        self._end.set()
        self.join()


def measure(series: int, seconds: float) -> Iterator[tuple[str, str, float]]:
    """Name, unit and value of each phase's waits."""
    from metrics import deleting, vacuum, writer

    ids = keeping.make_series(series)
    own = keeping.series_of([_line("publisher", number) for number in range(SAMPLES)])
    start_ms = int(time.time()) * SECOND_MS - 24 * HOUR_MS
    keeping.append_all(keeping.at_the_pace(ids, TICKS, start_ms, SECOND_MS))
    _make_doomed(series)
    phases: list[tuple[str, Callable[[], object]]] = [
        ("nothing else", lambda: time.sleep(seconds)),
        ("sealing", lambda: _keep(_seal)),
        ("rolling up", lambda: _keep(_roll, once=True)),
        (f"a metric of {series:,} series is deleted", lambda: deleting.delete_metric("doomed")),
        ("its chunks go", lambda: _keep(deleting.sweep)),
        (
            "its space is given back",
            lambda: _keep(lambda lease, now: vacuum.give_back(lease, now, unused_s=0.0)),
        ),
    ]
    writer.start()
    publisher = Publisher(own)
    publisher.start()
    try:
        time.sleep(seconds / 3)
        for name, work in phases:
            publisher.taken_ms()
            began_s = time.perf_counter()
            work()
            took_s = time.perf_counter() - began_s
            waits_ms = publisher.taken_ms()
            yield f"{name}: how long it takes", "s", took_s
            for part, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
                if waits_ms:
                    yield f"{name}: a commit's wait, {part}", "ms", quantile(waits_ms, share)
    finally:
        publisher.stop()
        writer.stop()


def _line(metric: str, number: int) -> walks.Line:
    return walks.Line(metric, str(number), np.array([], np.int64), np.array([]))


def _make_doomed(series: int) -> None:
    """A metric with chunks as sealing leaves them; some payloads are used by many series."""
    from metrics import chunks, codec

    window_ms = chunks.WINDOW_MS[chunks.SAMPLES]
    step_ms = window_ms // WINDOW_SAMPLES
    start_ms = int(time.time()) * SECOND_MS // window_ms * window_ms - (WINDOWS + 12) * window_ms
    ids = keeping.series_of([_line("doomed", number) for number in range(series)])
    for window in range(WINDOWS):
        at_ms = start_ms + window * window_ms
        lines = [walks.gauge(n, at_ms + window_ms, WINDOW_SAMPLES, step_ms) for n in range(20)]
        payloads = [codec.encode(line.times, line.values) for line in lines]
        rows = [
            chunks.row(id, chunks.SAMPLES, at_ms, WINDOW_SAMPLES, payloads[id % 20]) for id in ids
        ]
        for row in rows:
            row.rolled = True
        chunks.write(rows)


def _keep(work: Work, once: bool = False) -> None:
    """Lets a keeper do this work: a slice of it, or again until there is nothing left of it."""
    from metrics import jobs

    done = threading.Event()

    def until_done(lease: Lease, now_ms: int) -> Iterator[object]:
        some = False
        for piece in work(lease, now_ms):
            some = True
            yield piece
        if once or not some:
            done.set()

    stop = threading.Event()
    keeper = jobs.Keeper([jobs.Step("work", 0.01, until_done)])
    thread = threading.Thread(target=keeper.run, args=(stop,), name="keeper")
    thread.start()
    try:
        if not done.wait(TIMEOUT_S):
            raise RuntimeError(f"the keeper was not done within {TIMEOUT_S:.0f} s")
    finally:
        stop.set()
        thread.join()


def _seal(lease: Lease, now_ms: int) -> Iterator[object]:
    """One slice as it is due, if more waits than the publisher makes meanwhile."""
    from django.db.models import Sum

    from metrics import sealing
    from metrics.models import Batch

    waiting = Batch.objects.filter(sealed_at_ms__isnull=True, count__gt=SAMPLES)
    if waiting.aggregate(count=Sum("count"))["count"]:
        yield from sealing.seal(lease, now_ms + AHEAD_MS, sealing.Sealed())


def _roll(lease: Lease, now_ms: int) -> Iterator[object]:
    from metrics import rolling

    return rolling.roll(lease, now_ms)


if __name__ == "__main__":
    keeping.open_store()
    for name, unit, value in measure(int(sys.argv[1]), float(sys.argv[2])):
        print(json.dumps({"name": name, "unit": unit, "value": value}), flush=True)
