"""Measures Pulseboard and keeps the results.

    python benchmarks/run.py                    everything, about half an hour
    python benchmarks/run.py --quick            everything once and shortly, about four minutes
    python benchmarks/run.py --only fanout      one of them (may be repeated)
    python benchmarks/run.py --half-hour --only browser    a page watched for half an hour
    python benchmarks/run.py --table            puts each one's newest into docs/benchmarks.md

Results go to benchmarks/results/<date>-<commit>.json. Nothing here fails because of a figure.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import (
    bells,
    browser,
    delivery,
    fanout,
    forms,
    ingest,
    late,
    latency,
    log_append,
    machine,
    many_series,
    many_sockets,
    reading,
    results,
    start,
    storage,
    storm,
    stuck_readers,
    sustained,
    waiting,
)  # fmt: skip
from benchmarks.report import Report
from benchmarks.scale import FULL, HALF_AN_HOUR_S, QUICK, Scale

BENCHMARKS = {
    "latency": latency,
    "fanout": fanout,
    "delivery": delivery,
    "many_sockets": many_sockets,
    "stuck_readers": stuck_readers,
    "forms": forms,
    "bells": bells,
    "storm": storm,
    "browser": browser,
    "ingest": ingest,
    "log_append": log_append,
    "start": start,
    "sustained": sustained,
    "storage": storage,
    "reading": reading,
    "many_series": many_series,
    "late": late,
    "waiting": waiting,
}


def measure(name: str, scale: Scale, quiet: bool = False) -> Report:
    """Runs one benchmark; prints as it goes unless `quiet`."""
    benchmark = BENCHMARKS[name]
    report = Report(name, benchmark.TITLE, quiet)
    report.say(f"\n{name}: {benchmark.TITLE}")
    began_s = time.perf_counter()
    benchmark.run(scale, report)
    report.seconds = time.perf_counter() - began_s
    report.say(f"\n{report.table()}\n  ({report.seconds:.0f} s)")
    return report


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="once and shortly")
    parser.add_argument("--only", action="append", choices=sorted(BENCHMARKS), metavar="NAME")
    parser.add_argument("--half-hour", action="store_true", help="watch the page so long")
    parser.add_argument("--table", action="store_true", help="refresh docs/benchmarks.md, and end")
    options = parser.parse_args(arguments)
    if options.table:
        print(f"docs/benchmarks.md now shows {results.refresh_page()}")
        return
    scale = QUICK if options.quick else FULL
    if options.half_hour:
        scale = replace(scale, browser_s=HALF_AN_HOUR_S)
    content: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "scale": scale.name,
        "machine": machine.describe(),
        "benchmarks": {},
    }
    others = machine.Others()
    for name in options.only or BENCHMARKS:
        content["benchmarks"][name] = measure(name, scale).as_json()
    content["others_busy_percent"] = others.percent()
    print(f"\n{results.heading(content)}")
    print(f"\nkept in {results.keep(content, options.only)}")


if __name__ == "__main__":
    main()
