"""One update to many browsers: ours beside what others broadcast with, in turns."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from benchmarks import installing, loop, systems
from benchmarks.installing import CannotInstall
from benchmarks.processes import Effort, Helper, folder, how_pinned
from benchmarks.publisher import Plan
from benchmarks.report import Report, quantile
from benchmarks.scale import Scale
from benchmarks.sockets import Fleet
from benchmarks.systems import OURS, PANELS, VARIABLES, Running, System

TITLE = "Fan-out: the same updates to many browsers, ours beside others"
MODEST_FRAMES_PER_S = 1000  # over all browsers; everybody still keeps up with this
TRACKED = 5  # browsers that look at every frame at saturation
SETTLE_S = 0.5
BEGIN_TIMEOUT_S = 20.0
BUSY_PERCENT = 90
NEAR = 0.8
SATURATED = "saturated"


def run(scale: Scale, report: Report) -> None:
    report.note(how_pinned())
    report.note(
        f"every browser gets {PANELS} panels, updates of about 300 bytes, published over HTTP ten "
        f"at a time; tick {VARIABLES['TICK_MS']} ms; ours also stores and evaluates them, and "
        "sends the least and the greatest value of each step beside the newest"
    )
    absent: set[str] = set()
    for count in scale.fan_outs:
        for turn in range(scale.repeats):
            for system in systems.SYSTEMS:
                if system.name not in absent:
                    _run_one(scale, report, system, count, turn, absent)
        _compare(report, count, [one.name for one in systems.SYSTEMS if one.name not in absent])
    if versions := installing.versions():
        report.note(f"beside ours: {versions}")


def _run_one(
    scale: Scale, report: Report, system: System, count: int, turn: int, absent: set[str]
) -> None:
    with folder() as data:
        try:
            _start(scale, report, system, count, turn, data)
        except CannotInstall as error:
            absent.add(system.name)
            report.note(f"{system.name} was not measured: {error}")


def _start(scale: Scale, report: Report, system: System, count: int, turn: int, data: Path) -> None:
    with system.start(data) as running:
        loop.run(_measure(scale, report, running, f"{count} browsers, {system.name}", count, turn))


async def _measure(
    scale: Scale, report: Report, running: Running, name: str, count: int, turn: int
) -> None:
    fleet = Fleet(running.server.port)
    await fleet.open(count, running.greeting, every=TRACKED)
    try:
        if turn == 0 and scale.repeats > 1:
            await _latency(scale, report, fleet, running, name)
        await _saturation(scale, report, fleet, running, name)
    finally:
        fleet.close()


async def _latency(scale: Scale, report: Report, fleet: Fleet, running: Running, name: str) -> None:
    fleet.track()
    rate = MODEST_FRAMES_PER_S / len(fleet.sockets)
    plan = _plan(running, scale.warm_s + scale.window_s, rate, 1)
    with Helper("benchmarks.publisher", plan.arguments(), running.server.folder) as helper:
        sent_ms = json.loads(await asyncio.to_thread(helper.output))["sent_ms"]
    await asyncio.sleep(SETTLE_S)
    counted = [at_ms for at_ms in sent_ms if at_ms >= sent_ms[0] + scale.warm_s * 1000]
    latencies_ms, _, lost = fleet.latencies_ms(counted)
    what = f"{name}, {MODEST_FRAMES_PER_S:,} frames/s"
    if latencies_ms:
        report.add(f"{what}, p50", "ms", quantile(latencies_ms, 0.5))
        report.add(f"{what}, p99", "ms", quantile(latencies_ms, 0.99))
    if lost:
        report.note(f"{what}: {lost} deliveries never came")


def _plan(running: Running, seconds: float, rate: float, panels: int) -> Plan:
    port, token = running.server.port, running.token
    return Plan(running.how, seconds, rate, port, token, panels, running.lines)


async def _saturation(
    scale: Scale, report: Report, fleet: Fleet, running: Running, name: str
) -> None:
    fleet.track(all_sockets=False)
    plan = _plan(running, scale.window_s + 2 * scale.warm_s, 0.0, PANELS)
    with Helper("benchmarks.publisher", plan.arguments(), running.server.folder):
        await _until_begun(fleet, name)
        await asyncio.sleep(scale.warm_s)
        effort, own = Effort(running.server), Effort()
        frames, data = fleet.frames(), fleet.bytes()
        began_s = asyncio.get_running_loop().time()
        await asyncio.sleep(scale.window_s)
        elapsed_s = asyncio.get_running_loop().time() - began_s
        came = fleet.frames() - frames
        size = (fleet.bytes() - data) / max(1, came)
        used_s, used, busy = effort.used_s(), effort.percent(), own.percent()
    report.add(f"{name}, {SATURATED}", "frames/s", came / elapsed_s)
    if came and used_s:
        report.add(f"{name}, {SATURATED}: for each second of CPU", "frames", came / used_s)
    report.add(f"{name}, {SATURATED}: server's CPU", "% of a core", used)
    report.add(f"{name}, {SATURATED}: the clients' CPU", "% of a core", busy)
    report.add(f"{name}, {SATURATED}: size of a frame", "bytes", size)
    ages_ms = [age for socket in fleet.sockets for age in socket.ages_ms]
    if ages_ms:
        report.add(f"{name}, {SATURATED}: age of a frame, p50", "ms", quantile(ages_ms, 0.5))
    most = PANELS * len(fleet.sockets) * 1000 / int(VARIABLES["TICK_MS"])
    if running.how == "http" and came / elapsed_s > NEAR * most:
        report.note(f"{name}: near {most:,.0f} frames/s, which is all that the tick allows")
    if busy > BUSY_PERCENT:
        report.note(f"{name}: the clients were the limit, the server could have done more")


async def _until_begun(fleet: Fleet, name: str) -> None:
    """Raises RuntimeError when nothing comes."""
    wanted = fleet.frames() + len(fleet.sockets) * PANELS
    try:
        async with asyncio.timeout(BEGIN_TIMEOUT_S):
            while fleet.frames() < wanted:
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise RuntimeError(f"{name}: nothing came") from None


def _compare(report: Report, count: int, names: list[str]) -> None:
    """Ratios of neighbours."""
    first = f"{count} browsers, {OURS}"
    for name in names:
        if name == OURS:
            continue
        ratio = f"{count} browsers, ours / {name}"
        other = f"{count} browsers, {name}"
        for what, more, unit in (
            (SATURATED, SATURATED, "times the frames/s"),
            (f"{SATURATED}: for each second of CPU", "for each second of CPU", "times the frames"),
            (f"{MODEST_FRAMES_PER_S:,} frames/s, p50", "latency p50", "times the latency"),
            (f"{MODEST_FRAMES_PER_S:,} frames/s, p99", "latency p99", "times the latency"),
        ):
            mine = report.values(f"{first}, {what}")
            theirs = report.values(f"{other}, {what}")
            for one, two in zip(mine, theirs, strict=False):
                if two:
                    report.add(f"{ratio}, {more}", unit, one / two)
