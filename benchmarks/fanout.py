"""One update to many browsers: ours beside stock Channels, on the same server, in turns."""

from __future__ import annotations

import asyncio
import json

from benchmarks import loop
from benchmarks.processes import Effort, Helper, Pulseboard, Server, folder, how_pinned
from benchmarks.publisher import Plan, expressions
from benchmarks.report import Report, quantile
from benchmarks.scale import Scale
from benchmarks.sockets import Fleet, Greeting, watching

TITLE = "Fan-out: ours beside stock Channels (a consumer per browser in a group)"
PANELS = 10  # that every browser watches; at saturation all of them change all the time
MODEST_FRAMES_PER_S = 1000  # over all browsers; stock Channels still keeps up with this
TRACKED = 5  # browsers that look at every frame at saturation
SETTLE_S = 0.5
BUSY_PERCENT = 90
NEAR = 0.8
# The shortest tick, so that it is the processor that ends the growth and not the tick.
VARIABLES = {"TICK_MS": "10", "CONNECTIONS_PER_USER": "10000"}


def run(scale: Scale, report: Report) -> None:
    report.note(how_pinned())
    report.note(
        f"every browser watches {PANELS} panels of 12 series, updates of about 300 bytes, "
        f"published over HTTP; tick {VARIABLES['TICK_MS']} ms; ours also stores and evaluates them"
    )
    for count in scale.fan_outs:
        for _ in range(scale.repeats):
            for system in ("ours", "stock"):
                _run_one(scale, report, system, count)
        _compare(report, count)


def _run_one(scale: Scale, report: Report, system: str, count: int) -> None:
    with folder() as data:
        if system == "stock":
            arguments = ["-m", "benchmarks.stock_channels", str(PANELS)]
            with Server(arguments, data) as stock:
                loop.run(_measure(scale, report, stock, system, count, "", Greeting([], 1)))
            return
        with Pulseboard(data, "--no-jobs", variables=VARIABLES) as server:
            read, token = server.tokens()
            greeting = watching(read, expressions(PANELS))
            loop.run(_measure(scale, report, server, system, count, token, greeting))


async def _measure(
    scale: Scale,
    report: Report,
    server: Server,
    system: str,
    count: int,
    token: str,
    greeting: Greeting,
) -> None:
    how = "http" if system == "ours" else "stock"
    fleet = Fleet(server.port)
    await fleet.open(count, greeting, every=TRACKED)
    try:
        rate = MODEST_FRAMES_PER_S / count
        seconds = scale.warm_s + scale.window_s
        modest = Plan(how, seconds, rate, server.port, token, 1)
        await _latency(scale, report, fleet, server, modest, _name(count, system))
        flood = Plan(how, seconds + scale.warm_s, 0.0, server.port, token, PANELS)
        await _saturation(scale, report, fleet, server, flood, _name(count, system))
    finally:
        fleet.close()


async def _latency(
    scale: Scale, report: Report, fleet: Fleet, server: Server, plan: Plan, name: str
) -> None:
    fleet.track()
    with Helper("benchmarks.publisher", plan.arguments(), server.folder) as helper:
        sent_ms = json.loads(await asyncio.to_thread(helper.output))["sent_ms"]
    await asyncio.sleep(SETTLE_S)
    counted = [at_ms for at_ms in sent_ms if at_ms >= sent_ms[0] + scale.warm_s * 1000]
    latencies_ms, _, lost = fleet.latencies_ms(counted)
    what = f"{name}, {MODEST_FRAMES_PER_S:,} frames/s"
    report.add(f"{what}, p50", "ms", quantile(latencies_ms, 0.5))
    report.add(f"{what}, p99", "ms", quantile(latencies_ms, 0.99))
    if lost:
        report.note(f"{what}: {lost} deliveries never came")


async def _saturation(
    scale: Scale, report: Report, fleet: Fleet, server: Server, plan: Plan, name: str
) -> None:
    fleet.track(all_sockets=False)
    with Helper("benchmarks.publisher", plan.arguments(), server.folder):
        before = fleet.frames()
        while fleet.frames() < before + len(fleet.sockets) * PANELS:  # it has begun
            await asyncio.sleep(0.01)
        await asyncio.sleep(scale.warm_s)
        effort, own, frames = Effort(server), Effort(), fleet.frames()
        began_s = asyncio.get_running_loop().time()
        await asyncio.sleep(scale.window_s)
        elapsed_s = asyncio.get_running_loop().time() - began_s
        rate = (fleet.frames() - frames) / elapsed_s
        report.add(f"{name}, saturated", "frames/s", rate)
        report.add(f"{name}, saturated: server's CPU", "% of a core", effort.percent())
        report.add(f"{name}, saturated: the clients' CPU", "% of a core", own.percent())
        busy = own.percent()
    ages_ms = [age for socket in fleet.sockets for age in socket.ages_ms]
    if ages_ms:
        report.add(f"{name}, saturated: age of a frame, p50", "ms", quantile(ages_ms, 0.5))
    most = PANELS * len(fleet.sockets) * 1000 / int(VARIABLES["TICK_MS"])
    if plan.how == "http" and rate > NEAR * most:
        report.note(f"{name}: near {most:,.0f} frames/s, which is all that the tick allows")
    if busy > BUSY_PERCENT:
        report.note(f"{name}: the clients were the limit, the server could have done more")


def _name(count: int, system: str) -> str:
    return f"{count} browsers, {system}"


def _compare(report: Report, count: int) -> None:
    """Ratios of the pairs that ran one after the other."""
    ours, stock = _name(count, "ours"), _name(count, "stock")
    modest = f"{MODEST_FRAMES_PER_S:,} frames/s"
    for what, more, unit in (
        ("saturated", "saturated", "times the frames/s"),
        (f"{modest}, p50", "latency p50", "times the latency"),
        (f"{modest}, p99", "latency p99", "times the latency"),
    ):
        pairs = zip(
            report.get(f"{ours}, {what}").values,
            report.get(f"{stock}, {what}").values,
            strict=True,
        )
        for mine, theirs in pairs:
            report.add(f"{count} browsers, ours / stock, {more}", unit, mine / theirs)
