"""What it costs when samples come out of order: the same samples, in another order.

`python -m benchmarks.late <series> <order> <door>` prints one JSON object; with a door the samples
come in as publishers send them, without one they are put into the log at once.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import keeping, walks
from benchmarks.keeping import BATCH, Stopwatch
from benchmarks.processes import Helper, folder
from benchmarks.report import Report
from benchmarks.scale import Scale
from benchmarks.walks import HOUR_MS, SECOND_MS, Line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from metrics.columns import Columns

TITLE = "Out-of-order input beside in-order input: the same samples"
SERIES = 30
DAYS = 7
STEP_MS = 10 * SECOND_MS
SLICES = 3
WINDOW = 7_200  # samples of a series' two hours; here of all series, some minutes
LATE_SHARE = 0.1
IN_ORDER = "in order"
ORDERS = {
    "shuffled": "shuffled within some minutes",
    "tenth": "10 % of them scattered over 7 days",
    "all": "all scattered over 7 days",
}
DOOR = "door"
WHOLE = "input whole: door, log, sealing, settling and rolling up"
APPENDED, ALL = "without the door: appending and sealing", "without the door: and all that follows"


def run(scale: Scale, report: Report) -> None:
    series = scale.part(SERIES)
    count = series * DAYS * 24 * HOUR_MS // STEP_MS
    report.note(
        f"{count:,} samples of {series} series over {DAYS} days at {STEP_MS // SECOND_MS} s, "
        f"batches of {BATCH:,}, sealed and rolled up {SLICES} times on the way, each time all that "
        "waits; processor time of one process on one core"
    )
    report.note(
        "late samples, few to a chunk, wait beside their chunks and are settled once, at the end; "
        "where each time brings many to a chunk they are merged at once, and rolled up again: the "
        "ratio grows with how often is sealed, and falls with the samples a chunk gets each time"
    )
    report.note(
        "the door is intake.accept, through which all input comes: it checks each sample and looks "
        "its series up; making the samples' objects, which decoding a request does, is not counted"
    )
    for _ in range(scale.repeats):
        before = _measured(report, series, "", IN_ORDER)
        for order, name in ORDERS.items():
            now = _measured(report, series, order, name)
            for what, seconds in now.items():
                report.add(f"{name} / in order: {what}", "times", seconds / before[what])


def _measured(report: Report, series: int, order: str, name: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for door in (DOOR, ""):
        with folder() as data, Helper("benchmarks.late", [str(series), order, door], data) as one:
            found |= json.loads(one.output())
    for what, seconds in found.items():
        report.add(f"{name}: {what}", "s of CPU", seconds)
    return found


def measure(series: int, order: str, door: str) -> dict[str, float]:
    """Seconds of processor time, by what they were spent on."""
    end_ms = int(time.time()) * SECOND_MS - HOUR_MS
    lines = [
        walks.gauge(number, end_ms, DAYS * 24 * HOUR_MS // STEP_MS, STEP_MS)
        for number in range(series)
    ]
    ids = keeping.series_of(lines)
    batches = list(_reordered(list(keeping.in_batches(ids, lines)), order))
    line_of = dict(zip(ids, lines, strict=True))
    sealing_s = rolling_s = 0.0
    share = -(-len(batches) // SLICES)
    for start in range(0, len(batches), share):
        some = batches[start : start + share]
        sealing_s += _accept(line_of, some) if door else _append(some)
        watch = Stopwatch()
        keeping.seal_all()
        sealing_s += watch.cpu_seconds()
        watch = Stopwatch()
        keeping.roll_all()
        rolling_s += watch.cpu_seconds()
    watch = Stopwatch()
    keeping.settle_all()
    keeping.roll_all()
    rolling_s += watch.cpu_seconds()
    if door:
        return {WHOLE: sealing_s + rolling_s}
    return {APPENDED: sealing_s, ALL: sealing_s + rolling_s}


def _append(batches: Sequence[Columns]) -> float:
    watch = Stopwatch()
    keeping.append_all(batches)
    return watch.cpu_seconds()


def _accept(line_of: dict[int, Line], batches: Sequence[Columns]) -> float:
    """A batch at a time, so that only one's objects are in memory, as in a server."""
    from metrics import intake
    from metrics.clock import now_ms
    from metrics.samples import Sample

    used_s = 0.0
    for columns in batches:
        rows = zip(
            columns.series.tolist(), columns.times.tolist(), columns.values.tolist(), strict=True
        )
        samples = [
            Sample(line_of[id].metric, value, {"line": line_of[id].label}, at_ms)
            for id, at_ms, value in rows
        ]
        watch = Stopwatch()
        intake.accept(samples, now_ms=now_ms())
        used_s += watch.cpu_seconds()
    return used_s


def _reordered(batches: list[Columns], order: str) -> Iterator[Columns]:
    from metrics.columns import Columns

    whole = Columns.join(batches)
    places = _places(len(whole), order)
    for start in range(0, len(whole), BATCH):
        yield whole.take(places[start : start + BATCH])


def _places(count: int, order: str) -> NDArray[np.int64]:
    """Which sample comes at each place."""
    random = np.random.default_rng(1)
    places = np.arange(count)
    if order == "shuffled":
        return np.argsort(places + random.uniform(0, WINDOW, count), kind="stable")
    if order in ("tenth", "all"):
        late = random.random(count) < (LATE_SHARE if order == "tenth" else 1.0)
        places[late] = random.permutation(places[late])
    return places


if __name__ == "__main__":
    keeping.open_store()
    print(json.dumps(measure(int(sys.argv[1]), *sys.argv[2:])), flush=True)
