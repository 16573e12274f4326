"""Samples per second that log.append makes durable, beside one row per sample.

Everything runs in one child process, against the same temporary SQLite file with the same
settings (WAL, synchronous=FULL): `python -m benchmarks.log_append <seconds> <repeats>` prints one
JSON object a line.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.processes import Helper, folder
from benchmarks.report import Report
from benchmarks.scale import Scale

TITLE = "The log: samples per second that log.append makes durable"
BATCH = 1000
THREADS = 8

APPEND = f"log.append, {BATCH:,} samples at a time"
ACCEPT = f"intake.accept, {BATCH:,} samples at a time"
GROUP_ONE = f"group commit: {THREADS} threads, 1 sample at a time"
GROUP_TEN = f"group commit: {THREADS} threads, 10 samples at a time"
ALONE = "without it: 1 thread, 1 sample at a time"
BULK_CREATE = f"row per sample: Django bulk_create, {BATCH:,} at a time"
EXECUTEMANY = f"row per sample: executemany, WITHOUT ROWID, {BATCH:,} at a time"

Work = Callable[[], int]  # does one commit; how many samples it held


def run(scale: Scale, report: Report) -> None:
    report.note(f"{BATCH:,} series, each with one sample per commit; rows are keyed (series, time)")
    with folder() as data:
        arguments = [str(scale.window_s / 2), str(scale.repeats)]
        with Helper("benchmarks.log_append", arguments, data) as helper:
            for line in helper.lines():
                said = json.loads(line)
                report.add(said["name"], "samples/s", said["value"])
    for name, peer in (("bulk_create", BULK_CREATE), ("executemany", EXECUTEMANY)):
        ratios = zip(report.get(APPEND).values, report.get(peer).values, strict=True)
        for ours, theirs in ratios:
            report.add(f"log.append / {name}", "times", ours / theirs)


def measure(seconds: float, repeats: int) -> Iterator[tuple[str, float]]:
    """Each way in turn, `repeats` times over. Needs a migrated database."""
    from metrics import writer

    series = _make_series()
    peers = _make_peers()
    for _ in range(repeats):
        yield APPEND, _rate(_append(series, BATCH), seconds)
        yield ACCEPT, _rate(_accept(), seconds)
        yield ALONE, _rate(_append(series[:1], 1), seconds)
        writer.start()
        try:
            yield GROUP_ONE, _rate_of_threads(_append(series[:1], 1), seconds)
            yield GROUP_TEN, _rate_of_threads(_append(series[:10], 10), seconds)
        finally:
            writer.stop()
        for name, work in peers:
            yield name, _rate(work, seconds)


def _rate(work: Work, seconds: float) -> float:
    work()
    began_s = time.perf_counter()
    end_s = began_s + seconds
    done = 0
    while time.perf_counter() < end_s:
        done += work()
    return done / (time.perf_counter() - began_s)


def _rate_of_threads(work: Work, seconds: float) -> float:
    rates: list[float] = []

    def one() -> None:
        rates.append(_rate(work, seconds))

    threads = [threading.Thread(target=one) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def _make_series() -> list[int]:
    from metrics.models import Series

    _accept()()
    return list(Series.objects.order_by("id").values_list("id", flat=True))


def _append(series: list[int], count: int) -> Work:
    import numpy as np

    from metrics import log
    from metrics.clock import now_ms
    from metrics.columns import Columns

    ids = np.array(series[:count], np.int64)
    values = np.arange(count, dtype=np.float64)

    def work() -> int:
        at_ms = now_ms()
        columns = Columns(ids, np.full(count, at_ms), values)
        log.append(log.Entry(columns, [], now_ms=at_ms))
        return count

    return work


def _accept() -> Work:
    """As a publisher in this process does it: names and labels, not ids."""
    from metrics import intake
    from metrics.clock import now_ms
    from metrics.samples import Sample

    labels = [{"item": str(item)} for item in range(BATCH)]

    def work() -> int:
        samples = [Sample("benchmark", 0.5, one) for one in labels]
        return intake.accept(samples, now_ms=now_ms()).stored

    return work


def _make_peers() -> list[tuple[str, Work]]:
    from django.db import connection, models, transaction

    class Row(models.Model):
        series = models.BigIntegerField()
        time_ms = models.BigIntegerField()
        value = models.FloatField()

        class Meta:
            app_label = "metrics"
            db_table = "benchmark_row"
            constraints = (models.UniqueConstraint(fields=("series", "time_ms"), name="bench"),)

    with connection.schema_editor() as editor:
        editor.create_model(Row)
        editor.execute(
            "CREATE TABLE benchmark_raw (series INTEGER, time_ms INTEGER, value REAL, "
            "PRIMARY KEY (series, time_ms)) WITHOUT ROWID"
        )
    clock = _Clock()

    def bulk_create() -> int:
        at_ms = clock.next_ms()
        with transaction.atomic():
            Row._default_manager.bulk_create(
                Row(series=series, time_ms=at_ms, value=0.5) for series in range(BATCH)
            )
        return BATCH

    def executemany() -> int:
        at_ms = clock.next_ms()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO benchmark_raw VALUES (%s, %s, %s)",
                [(series, at_ms, 0.5) for series in range(BATCH)],
            )
        return BATCH

    return [(BULK_CREATE, bulk_create), (EXECUTEMANY, executemany)]


class _Clock:
    """Times that only grow: rows with the same key would be refused."""

    def __init__(self) -> None:
        self._at_ms = 1_790_000_000_000

    def next_ms(self) -> int:
        self._at_ms += 1
        return self._at_ms


def main(arguments: list[str]) -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for name, value in measure(float(arguments[0]), int(arguments[1])):
        line: dict[str, Any] = {"name": name, "value": value}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
