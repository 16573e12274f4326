"""Starting, and what the server takes when nobody and when many are there."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from benchmarks import loop
from benchmarks.processes import ROOT, Effort, Pulseboard, folder, how_pinned
from benchmarks.report import Report
from benchmarks.scale import Scale
from benchmarks.sockets import Fleet, watching

TITLE = "Start, memory, and the work of one dashboard"
DASHBOARD = ROOT / "dashboard" / "builtin" / "this-machine.json"


def run(scale: Scale, report: Report) -> None:
    report.note(how_pinned())
    for _ in range(scale.starts):
        with folder() as data:
            _start(report, data, "first start (makes the database), to the link")
            _start(report, data, "second start, to the link")
    with folder() as data, Pulseboard(data) as server:
        loop.run(_memory(scale, report, server))


def _start(report: Report, data: Path, name: str) -> None:
    with Pulseboard(data) as server:
        report.add(name, "s", server.start_s)
        began_s = time.perf_counter()
        server.stop()
        report.add("stop", "s", time.perf_counter() - began_s)


async def _memory(scale: Scale, report: Report, server: Pulseboard) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = sorted({panel["expr"] for panel in panels if panel["expr"]})
    token, _ = server.tokens()
    fleet = Fleet(server.port)
    await _note(scale, report, server, fleet, "nobody watching")
    await fleet.open(scale.watchers, watching(token, expressions, range_ms=300_000))
    who = f'{scale.watchers} watching "This machine" ({len(expressions)} queries)'
    await _note(scale, report, server, fleet, who)
    fleet.close()


async def _note(scale: Scale, report: Report, server: Pulseboard, fleet: Fleet, who: str) -> None:
    """Memory and work once it has settled; the collector measures the machine each second."""
    await asyncio.sleep(2 * scale.warm_s)
    effort, frames = Effort(server), fleet.frames()
    await asyncio.sleep(scale.window_s)
    report.add(f"{who}: memory", "MiB", server.rss_mib())
    report.add(f"{who}: CPU", "% of a core", effort.percent())
    if fleet.sockets:
        report.add(f"{who}: frames", "frames/s", (fleet.frames() - frames) / scale.window_s)
