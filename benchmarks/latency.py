"""From publishing to the browser's frame: 1 publisher at 10 Hz, 100 watchers of one panel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from benchmarks import loop
from benchmarks.processes import Helper, Pulseboard, folder, how_pinned
from benchmarks.publisher import METRIC, Plan
from benchmarks.report import Report, quantile
from benchmarks.scale import Scale
from benchmarks.sockets import Fleet, watching

TITLE = "Latency from publishing to the frame in a browser (10 per second)"
RATE = 10.0
SETTLE_S = 0.5  # for frames still on their way when the publisher has ended
COMMAND_METRIC = "benchmark_command"
FIRST_NUMBER = 4_000_000_000_000  # above every time in ms: watchers look for values that grow

PUBLISHERS = {
    "http": "HTTP POST, connection kept",
    "gauge": "publish.gauge() in another process",
    "record": "publish.record() in another process",
}


def run(scale: Scale, report: Report) -> None:
    report.note(how_pinned())
    report.note(
        "counted at every watcher: until the value sent, or a newer one, was there; the publisher "
        "sends at 10 Hz with 20 % jitter"
    )
    with folder() as data, Pulseboard(data, "--no-jobs") as server:
        loop.run(_measure(scale, report, server))


async def _measure(scale: Scale, report: Report, server: Pulseboard) -> None:
    read, publish = server.tokens()
    fleet = Fleet(server.port)
    await fleet.open(scale.watchers, watching(read, [METRIC, COMMAND_METRIC]))
    try:
        for _ in range(scale.repeats):
            for how, name in PUBLISHERS.items():
                plan = Plan(how, scale.warm_s + 1.5 * scale.window_s, RATE, server.port, publish)
                await _publish(scale, report, fleet, server, plan, name)
        await _commands(scale, report, fleet, server)
    finally:
        fleet.close()


async def _publish(
    scale: Scale, report: Report, fleet: Fleet, server: Pulseboard, plan: Plan, name: str
) -> None:
    fleet.track()
    with Helper("benchmarks.publisher", plan.arguments(), server.folder) as helper:
        said = json.loads(await asyncio.to_thread(helper.output))
    await asyncio.sleep(SETTLE_S)
    counts_from_ms = said["sent_ms"][0] + scale.warm_s * 1000
    first = next((i for i, at_ms in enumerate(said["sent_ms"]) if at_ms >= counts_from_ms), 0)
    latencies_ms, superseded, lost = fleet.latencies_ms(said["sent_ms"][first:])
    report.add_quantiles(name, "ms", latencies_ms)
    report.add(f"{name}: the call itself, p50", "ms", quantile(said["took_ms"][first:], 0.5))
    _missing(report, name, superseded, lost)


async def _commands(scale: Scale, report: Report, fleet: Fleet, server: Pulseboard) -> None:
    """`manage.py publish` as people type it; from the time stamp it stores, taken as it commits."""
    stored_ms: list[float] = []
    took_s: list[float] = []
    fleet.track()
    for number in range(FIRST_NUMBER, FIRST_NUMBER + scale.commands + 1):
        began_s = asyncio.get_running_loop().time()
        said = await asyncio.to_thread(
            server.manage, "publish", COMMAND_METRIC, str(number), "--json"
        )
        took_s.append(asyncio.get_running_loop().time() - began_s)
        stored_ms.append(json.loads(said)["time"])
    await asyncio.sleep(SETTLE_S)
    name = "manage.py publish, from its commit"
    latencies_ms = _command_latencies(fleet, stored_ms[1:])
    report.add_quantiles(name, "ms", latencies_ms)
    report.add("manage.py publish: the whole command, p50", "ms", quantile(took_s, 0.5) * 1000)
    _missing(report, name, 0, len(fleet.sockets) * scale.commands - len(latencies_ms))


def _command_latencies(fleet: Fleet, stored_ms: Sequence[float]) -> list[float]:
    """Of all commands but the first, which makes the series."""
    latencies = []
    for socket in fleet.sockets:
        came_ms = dict(zip(socket.values, socket.arrivals_ms, strict=True))
        for number, at_ms in enumerate(stored_ms, start=FIRST_NUMBER + 1):
            if float(number) in came_ms:
                latencies.append(came_ms[float(number)] - at_ms)
    return latencies


def _missing(report: Report, name: str, superseded: int, lost: int) -> None:
    if lost:
        report.note(f"{name}: {lost} deliveries never came")
    if superseded:
        report.note(f"{name}: {superseded} deliveries were replaced by a newer value")
