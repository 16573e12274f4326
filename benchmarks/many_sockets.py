"""Ten thousand browsers in one process that seldom get something."""

from __future__ import annotations

import asyncio
import json
import time

from benchmarks import loop
from benchmarks.processes import Helper, Pulseboard, folder, how_pinned
from benchmarks.publisher import METRIC, Plan
from benchmarks.report import Report
from benchmarks.scale import Scale
from benchmarks.sockets import Fleet, watching
from benchmarks.systems import VARIABLES
from dashboard.loadtest.plan import CannotTest, allow_files
from dashboard.loadtest.wire import BINARY_FORM

TITLE = "Many sockets: one process, one panel, an update a second to all"
RATE = 1.0
SETTLE_S = 1.0
FIRST = 50  # what the first sockets of a process cost (caches, pools) is no cost of a socket
SETTINGS = {name: value for name, value in VARIABLES.items() if name != "TICK_MS"}


def run(scale: Scale, report: Report) -> None:
    report.note(how_pinned())
    report.note(
        f"memory: growth of the server's resident memory from {FIRST} sockets to all, by their "
        "number; what the kernel holds for a socket is not in it"
    )
    try:
        allow_files(scale.idle_sockets)  # the server inherits the limit
    except CannotTest as refused:
        report.note(f"not measured: {refused}")
        return
    with folder() as data, Pulseboard(data, "--no-jobs", variables=SETTINGS) as server:
        loop.run(_measure(scale, report, server))


async def _measure(scale: Scale, report: Report, server: Pulseboard) -> None:
    read, publish = server.tokens()
    fleet = Fleet(server.port)
    greeting = watching(read, [METRIC], subprotocol=BINARY_FORM)
    name = f"{scale.idle_sockets:,} sockets"
    try:
        # The series exists, and the ways of a socket have been gone once.
        await _publish(server, publish, 1.0)
        await fleet.open(FIRST, greeting)
        before_mib, began_s = server.rss_mib(), time.perf_counter()
        await fleet.open(scale.idle_sockets - FIRST, greeting)
        took_s = time.perf_counter() - began_s
        report.add(f"{name}: opened", "sockets/s", (scale.idle_sockets - FIRST) / took_s)
        grown_kib = (server.rss_mib() - before_mib) * 1024
        count = scale.idle_sockets - FIRST
        report.add(f"{name}: memory when all watch", "KiB a socket", grown_kib / count)
        fleet.track()
        sent_ms = await _publish(server, publish, max(3.0, 4 * scale.window_s))
        await asyncio.sleep(SETTLE_S)
        latencies_ms, superseded, lost = fleet.latencies_ms(sent_ms)
        grown_kib = (server.rss_mib() - before_mib) * 1024
        report.add(f"{name}: memory after {len(sent_ms)} updates", "KiB a socket",
                   grown_kib / count)  # fmt: skip
        report.add_quantiles(f"{name}: an update to all", "ms", latencies_ms)
        if superseded or lost:
            report.note(f"{name}: {superseded} deliveries replaced, {lost} never came")
    finally:
        fleet.close()


async def _publish(server: Pulseboard, token: str, seconds: float) -> list[float]:
    plan = Plan("http", seconds, RATE, server.port, token)
    with Helper("benchmarks.publisher", plan.arguments(), server.folder) as helper:
        sent_ms: list[float] = json.loads(await asyncio.to_thread(helper.output))["sent_ms"]
    return sent_ms
