"""Bytes per sample once everything is sealed, beside the peers' with the same samples.

`python -m benchmarks.storage <gauge or counter> <hours>` prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks import keeping, peers, walks
from benchmarks.peer import Peer
from benchmarks.processes import Helper, folder
from benchmarks.report import Report
from benchmarks.scale import Scale
from benchmarks.walks import HOUR_MS, SECOND_MS, Line

TITLE = "Bytes per sample once all is sealed"
LINES = 20
HOURS = 24
UNIT = "bytes/sample"
KINDS = {"gauge": "random-walk gauges, 2 decimals", "counter": "counters"}


def run(scale: Scale, report: Report) -> None:
    hours = scale.part(HOURS)
    report.note(f"{LINES} series at 1 s over {hours} h, the same samples for everybody")
    report.note(
        "ours: payloads are the chunks' own bytes; with rows and indexes is what the database "
        "file grew by, without free pages, once the sealed part of the log is deleted"
    )
    report.note(
        "rollups (10 s, 1 min, 1 h) are on top of the samples and outlive them; the peers have "
        "none and answer long ranges from samples"
    )
    kinds = peers.installed(report)
    for peer in kinds:
        report.note(f"{peer.name}: {peer.how_sized}")
    for kind, name in KINDS.items():
        with folder() as data, Helper("benchmarks.storage", [kind, str(hours)], data) as helper:
            ours: dict[str, float] = json.loads(helper.output())
        for what, value in ours.items():
            report.add(f"{name}: {what}", UNIT, value)
        lines = _lines(kind, hours)
        with folder() as data:
            for peer in kinds:
                report.add(f"{name}: {peer.name}", UNIT, _of_peer(peer, data, lines))


def _lines(kind: str, hours: int) -> list[Line]:
    make = {"gauge": walks.gauge, "counter": walks.counter}[kind]
    end_ms = int(time.time()) * SECOND_MS - HOUR_MS  # every window but the last is over
    return [make(number, end_ms, hours * 3600) for number in range(LINES)]


def _of_peer(kind: type[Peer], data: Path, lines: list[Line]) -> float:
    with kind(data / kind.package) as peer:
        peer.feed(lines)
        peer.settle()
        return peer.bytes_of_data() / sum(len(line.times) for line in lines)


def measure(kind: str, hours: int) -> dict[str, float]:
    """Bytes per sample of one kind, in a store of its own."""
    from metrics.sizes import sqlite_used

    lines = _lines(kind, hours)
    ids = keeping.series_of(lines)
    empty = sqlite_used()
    count = keeping.append_all(keeping.in_batches(ids, lines))
    keeping.seal_all()
    keeping.delete_sealed_all()
    found = {"samples, payloads": _payloads() / count}
    found["samples, with rows and indexes"] = (sqlite_used() - empty) / count
    keeping.roll_all()
    found["samples and rollups, payloads"] = _payloads() / count
    found["samples and rollups, with rows and indexes"] = (sqlite_used() - empty) / count
    return found


def _payloads() -> int:
    from django.db.models import Sum
    from django.db.models.functions import Length

    from metrics.models import Chunk

    return int(Chunk.objects.aggregate(size=Sum(Length("data")))["size"])


if __name__ == "__main__":
    keeping.open_store()
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))), flush=True)
