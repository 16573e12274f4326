"""What many series cost: making them, sealing, starting, memory; and that it grows evenly.

`python -m benchmarks.many_series <series>` fills a store and prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from benchmarks import keeping
from benchmarks.keeping import Stopwatch
from benchmarks.processes import Effort, Helper, Pulseboard, folder, how_pinned
from benchmarks.report import Report
from benchmarks.scale import Scale
from benchmarks.walks import SECOND_MS

TITLE = "Many series: making, sealing, starting, memory"
STEP_MS = 10 * SECOND_MS
TICKS = 60  # ten minutes, after which sealing is due
KIB_PER_MIB = 1024


def run(scale: Scale, report: Report) -> None:
    report.note(how_pinned())
    report.note(
        f"each series has {TICKS} samples, then {TICKS} more, {STEP_MS // SECOND_MS} s apart, the "
        "last one now: the first are sealed into new chunks, the others merged into those; in one "
        "process on one core, without rests"
    )
    report.note(
        "the start is that of the embedded server, with its jobs, until it prints its link; memory "
        "when it has rested some seconds; a server without series takes what `start` says"
    )
    for count in scale.many_series:
        with folder() as data:
            with Helper("benchmarks.many_series", [str(count)], data) as helper:
                found: dict[str, tuple[float, str]] = json.loads(helper.output())
            for name, (value, unit) in found.items():
                report.add(f"{count:,} series: {name}", unit, value)
            with Pulseboard(data) as server:
                report.add(f"{count:,} series: start, to the link", "s", server.start_s)
                time.sleep(2 * scale.warm_s)
                effort = Effort(server)
                time.sleep(scale.window_s)
                report.add(f"{count:,} series: memory of the server", "MiB", server.rss_mib())
                report.add(f"{count:,} series: CPU at rest", "% of a core", effort.percent())


def measure(count: int) -> dict[str, tuple[float, str]]:
    """Values and units by name."""
    watch = Stopwatch()
    ids = keeping.make_series(count)
    found = {"making them": (watch.seconds(), "s")}
    now_ms = int(time.time()) * SECOND_MS
    start_ms = now_ms - 2 * TICKS * STEP_MS
    for name in ("new chunks", "merging"):
        batches = keeping.at_the_pace(ids, TICKS, start_ms, STEP_MS)
        samples = keeping.append_all(batches)
        watch = Stopwatch()
        keeping.seal_all()
        took_s = watch.seconds()
        found[f"sealing {TICKS} samples of each, {name}"] = (took_s, "s")
        found[f"sealing, {name}"] = (samples / took_s, "samples/s")
        start_ms += TICKS * STEP_MS
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform == "darwin":  # there in bytes
        peak_kib //= 1024
    found["memory of the process that seals, at most"] = (peak_kib / KIB_PER_MIB, "MiB")
    return found


if __name__ == "__main__":
    keeping.open_store()
    print(json.dumps(measure(int(sys.argv[1]))), flush=True)
