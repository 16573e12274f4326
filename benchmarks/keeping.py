"""A store of its own in a child process: filled, sealed and rolled up as the product does it.

Imports the product only inside functions: parents use the constants without a database.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.walks import Line

if TYPE_CHECKING:
    from metrics.columns import Columns

BATCH = 1_000
SERIES_PER_METRIC = 10_000  # the default of the setting
METRIC = "bench"
AHEAD_MS = 60_000  # sealing awaits that a batch has settled: here nobody else writes


class Stopwatch:
    """Seconds since it was made: of the clock, and of this process's processor time."""

    def __init__(self) -> None:
        self._began_s, self._cpu_s = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self._began_s

    def cpu_seconds(self) -> float:
        return time.process_time() - self._cpu_s


def on_one_core() -> None:
    """This process and all it starts share one core; before there are threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])


def open_store() -> None:
    """On one core, with a migrated database."""
    on_one_core()
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def make_series(count: int, per_metric: int = SERIES_PER_METRIC) -> list[int]:
    """Ids of new series, some thousand of a metric: bench0, bench1..."""
    from metrics.models import Series

    _introduce((f"{METRIC}{number // per_metric}", str(number)) for number in range(count))
    return list(Series.objects.order_by("id").values_list("id", flat=True))


def series_of(lines: Sequence[Line]) -> list[int]:
    """The id of each line; counters are told by the end of their names."""
    from metrics.models import Metric, Series

    _introduce((line.metric, line.label) for line in lines)
    Metric.objects.filter(name__endswith="_total").update(kind=Metric.Kind.COUNTER)
    ids = {
        (metric, labels["line"]): id
        for id, metric, labels in Series.objects.values_list("id", "metric__name", "labels")
    }
    return [ids[line.metric, line.label] for line in lines]


def _introduce(series: Iterable[tuple[str, str]]) -> None:
    """Makes series as a publisher does, by a sample each, which are taken out of the log again."""
    from metrics import intake, log
    from metrics.clock import now_ms
    from metrics.models import Batch
    from metrics.samples import Sample

    first = log.newest_id()
    rest = iter(series)
    while group := list(islice(rest, BATCH)):
        samples = [Sample(metric, 0.5, {"line": label}) for metric, label in group]
        intake.accept(samples, now_ms=now_ms())
    Batch.objects.filter(id__gt=first).delete()


def in_batches(ids: Sequence[int], lines: Sequence[Line]) -> Iterator[Columns]:
    """Lines of the same times, as they come: all series at a time, and that again; 1,000 each."""
    from metrics.columns import Columns

    series = np.array(ids, np.int64)
    values = np.stack([line.values for line in lines], axis=1)
    times = lines[0].times
    ticks = max(1, BATCH // len(lines))
    for start in range(0, len(times), ticks):
        block = values[start : start + ticks]
        yield Columns(
            np.tile(series, len(block)),
            np.repeat(times[start : start + ticks], len(lines)),
            block.ravel(),
        )


def at_the_pace(ids: Sequence[int], ticks: int, start_ms: int, step_ms: int) -> Iterator[Columns]:
    """Random walks of many series: at each tick a sample of each, in batches of 1,000."""
    from metrics.columns import Columns

    series = np.array(ids, np.int64)
    random = np.random.default_rng(len(ids))
    values = np.full(len(series), 50.0)
    for tick in range(ticks):
        values = (values + random.normal(0, 1, len(series))).round(2) + 0.0
        at_ms = start_ms + tick * step_ms
        for start in range(0, len(series), BATCH):
            some = series[start : start + BATCH]
            yield Columns(some, np.full(len(some), at_ms), values[start : start + BATCH])


def append(columns: Columns) -> None:
    """One durable commit."""
    from metrics import log
    from metrics.clock import now_ms

    log.append(log.Entry(columns, [], now_ms=now_ms()))


def append_all(batches: Iterable[Columns]) -> int:
    """How many samples."""
    count = 0
    for columns in batches:
        append(columns)
        count += len(columns)
    return count


def seal_all() -> int:
    """Seals until nothing waits; how many samples."""
    from metrics import sealing
    from metrics.clock import now_ms

    count = 0
    while (done := sealing.seal_slice(now_ms() + AHEAD_MS)).batches:
        count += done.samples
    return count


def roll_all() -> int:
    """Rolls up every window that is over; how many chunks."""
    from metrics import rolling
    from metrics.clock import now_ms

    count = 0
    while rolled := rolling.roll_slice(now_ms()):
        count += rolled
    return count


def settle_all() -> None:
    """Merges the late samples that wait into their chunks, as if they had waited long enough."""
    from metrics import settling
    from metrics.clock import now_ms

    while settling.settle_slice(now_ms() + settling.WAIT_MS + AHEAD_MS):
        continue


def delete_sealed_all() -> None:
    """As if it were some minutes later."""
    from metrics import lease, sealing
    from metrics.clock import now_ms

    later_ms = now_ms() + AHEAD_MS + 2 * sealing.KEEP_SEALED_MS
    with lease.holding() as held:
        some = True
        while some:
            some = False
            for _ in sealing.delete_sealed(held, later_ms):
                some = True
