"""A year of history in a store of its own, as it is left when a year of publishing is over.

`python -m benchmarks.history <end in ms> <share>` makes it: LINES series, of which the last
RAW_HOURS are samples at 1 s, with rollups; before that buckets of 10 s for 30 days and of 1 min
and 1 h for a year; and WIDE series for the last 6 h. The last ten minutes lie in the log. A year
of samples at 1 s is too much to publish here: chunks are written through the project's own
modules, and old rollups are rolled up from samples at 10 s and 1 min.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import keeping, walks
from benchmarks.walks import HOUR_MS, SECOND_MS, Line

if TYPE_CHECKING:
    from metrics.columns import Columns
    from metrics.models import Chunk
    from metrics.rollups import Rollup

LINES = 20
WIDE = 200
WIDE_METRIC = "bench_wide"
RANGE_MS = 6 * HOUR_MS
RAW_HOURS = 63  # 60, and what lies in the window before
LEAST_RAW_HOURS = 9
LOG_MS = 600_000
DAY_MS = 24 * HOUR_MS
FINE_DAYS, YEAR_DAYS = 30, 366
TEN_SECONDS_MS, MINUTE_MS = 10 * SECOND_MS, 60 * SECOND_MS


def recent(end_ms: int, share: float) -> list[Line]:
    """The samples of the last hours: ours, and in part the peers'."""
    count = _raw_hours(share) * 3600
    return [walks.gauge(number, end_ms, count) for number in range(LINES)]


def _raw_hours(share: float) -> int:
    return max(LEAST_RAW_HOURS, round(share * RAW_HOURS))


def make(end_ms: int, share: float) -> None:
    """`share` of the wide series, of the hours of samples, and of the old days."""
    wide = [
        replace(walks.gauge(10_000 + number, end_ms, RANGE_MS // SECOND_MS), metric=WIDE_METRIC)
        for number in range(max(2, round(WIDE * share)))
    ]
    deep = recent(end_ms, share)
    ids = keeping.series_of([*deep, *wide])
    border_ms = (end_ms - _raw_hours(share) * HOUR_MS) // (2 * HOUR_MS) * 2 * HOUR_MS + 2 * HOUR_MS
    sealed_ms = end_ms - LOG_MS
    for id, line in zip(ids, [*deep, *wide], strict=True):
        if line.metric == WIDE_METRIC:
            _write(_samples(id, line, sealed_ms))
        else:
            _write(_old(id, int(line.label), border_ms, share))
            _write(_samples(id, line.since(border_ms), sealed_ms))
    keeping.roll_all()
    fresh = [line.since(sealed_ms) for line in (*deep, *wide)]
    for second in range(LOG_MS // SECOND_MS):
        keeping.append(_of_second(ids, fresh, second))


def _of_second(ids: Sequence[int], lines: Sequence[Line], second: int) -> Columns:
    from metrics.columns import Columns

    times = np.array([line.times[second] for line in lines])
    values = np.array([line.values[second] for line in lines])
    return Columns(np.array(ids, np.int64), times, values)


def _samples(id: int, line: Line, until_ms: int) -> Iterator[Chunk]:
    from metrics import chunks, codec

    window_ms = chunks.WINDOW_MS[chunks.SAMPLES]
    start_ms = chunks.window_of(int(line.times[0]), chunks.SAMPLES)
    while start_ms < until_ms:
        ends_ms = (start_ms, min(start_ms + window_ms, until_ms))
        begin, end = np.searchsorted(line.times, ends_ms, side="right").tolist()
        data = codec.encode(line.times[begin:end], line.values[begin:end])
        yield chunks.row(id, chunks.SAMPLES, start_ms, end - begin, data)
        start_ms += window_ms


def _old(id: int, number: int, until_ms: int, share: float) -> Iterator[Chunk]:
    """Rollups of a year, up to `until_ms`."""
    from metrics.chunks import join
    from metrics.rollups import roll, roll_up

    fine = round(FINE_DAYS * share) or 1
    days = round(YEAR_DAYS * share) or 2
    line = walks.gauge(number, until_ms, fine * DAY_MS // TEN_SECONDS_MS, TEN_SECONDS_MS)
    tens = roll(line.times, line.values, TEN_SECONDS_MS, counter=False)
    yield from _in_windows(id, tens)
    older = walks.gauge(
        number, until_ms - fine * DAY_MS, (days - fine) * DAY_MS // MINUTE_MS, MINUTE_MS
    )
    minutes = roll(older.times, older.values, MINUTE_MS, counter=False)
    minutes = join((minutes, roll_up(tens, MINUTE_MS, counter=False)))
    yield from _in_windows(id, minutes)
    yield from _in_windows(id, roll_up(minutes, HOUR_MS, counter=False))


def _in_windows(id: int, rollup: Rollup) -> Iterator[Chunk]:
    from metrics import chunks, rollups

    resolution_ms = rollup.resolution_ms
    window_ms = chunks.WINDOW_MS[resolution_ms]
    start_ms = chunks.window_of(int(rollup.end_ms[0]), resolution_ms)
    while start_ms < int(rollup.end_ms[-1]):
        part = rollup.between(start_ms, start_ms + window_ms)
        if len(part):
            yield chunks.row(id, resolution_ms, start_ms, len(part), rollups.encode(part))
        start_ms += window_ms


def _write(rows: Iterator[Chunk]) -> None:
    from metrics import chunks

    chunks.write(list(rows))


if __name__ == "__main__":
    keeping.open_store()
    make(int(sys.argv[1]), float(sys.argv[2]))
