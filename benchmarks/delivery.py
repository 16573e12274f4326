"""From publishing to a thousand browsers, the commit included."""

from __future__ import annotations

import asyncio
import json

from benchmarks import loop
from benchmarks.processes import Effort, Helper, Pulseboard, folder, how_pinned
from benchmarks.publisher import METRIC, Plan
from benchmarks.report import Report
from benchmarks.scale import Scale
from benchmarks.sockets import Fleet, watching
from benchmarks.systems import VARIABLES
from dashboard.loadtest.wire import BINARY_FORM, JSON_FORM

TITLE = "Latency to many browsers: 10 updates a second to each, commit included"
RATE = 10.0
SETTLE_S = 1.0
FORMS = {"binary": BINARY_FORM, "JSON": JSON_FORM}
SETTINGS = {name: value for name, value in VARIABLES.items() if name != "TICK_MS"}


def run(scale: Scale, report: Report) -> None:
    report.note(how_pinned())
    report.note(
        "one publisher over HTTP, 10 values a second with 20 % jitter, one panel; the tick as it "
        "comes; counted at every browser: until the value sent, or a newer one, was there"
    )
    for _ in range(scale.repeats):
        for form in FORMS:
            with folder() as data, Pulseboard(data, "--no-jobs", variables=SETTINGS) as server:
                loop.run(_measure(scale, report, server, form))


async def _measure(scale: Scale, report: Report, server: Pulseboard, form: str) -> None:
    read, publish = server.tokens()
    fleet = Fleet(server.port)
    await fleet.open(scale.crowd, watching(read, [METRIC], subprotocol=FORMS[form]))
    name = f"{scale.crowd:,} browsers, {form}"
    try:
        fleet.track()
        plan = Plan("http", scale.warm_s + scale.window_s, RATE, server.port, publish)
        effort, own = Effort(server), Effort()
        with Helper("benchmarks.publisher", plan.arguments(), server.folder) as helper:
            said = json.loads(await asyncio.to_thread(helper.output))
        report.add(f"{name}: server's CPU", "% of a core", effort.percent())
        report.add(f"{name}: the clients' CPU", "% of a core", own.percent())
        await asyncio.sleep(SETTLE_S)
        counted = [ms for ms in said["sent_ms"] if ms >= said["sent_ms"][0] + scale.warm_s * 1000]
        latencies_ms, superseded, lost = fleet.latencies_ms(counted)
        report.add_quantiles(name, "ms", latencies_ms)
        if lost:
            report.note(f"{name}: {lost} deliveries never came")
        if superseded:
            report.note(f"{name}: {superseded} deliveries were replaced by a newer value")
    finally:
        fleet.close()
