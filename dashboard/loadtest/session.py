"""One load test from its first socket to its last figure."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dashboard.loadtest import publisher
from dashboard.loadtest.figures import Latencies
from dashboard.loadtest.fleet import Fleet
from dashboard.loadtest.memory import Memory, processes
from dashboard.loadtest.plan import CannotTest, Plan, Target
from dashboard.loadtest.publisher import Order

SETTLE_S = 5.0
HEAR_WHY_S = 1.0
ROOT = Path(__file__).resolve().parent.parent.parent

Say = Callable[[str], None]


async def run(plan: Plan, read_tokens: list[str], publish_token: str, say: Say) -> dict[str, Any]:
    """Everything; the figures, as they are printed with --json. Raises CannotTest."""
    memory = Memory(processes(plan.target.port) if plan.target.is_local else [])
    order = Order(
        plan.target.host, plan.target.port, plan.target.secure, publish_token,
        plan.run, plan.series, plan.watches, plan.rate, plan.seconds,
    )  # fmt: skip
    if publish_token:
        await asyncio.to_thread(_publish_once, order)
    memory.look()
    fleet = Fleet(plan, read_tokens)
    tasks = [asyncio.create_task(_report(fleet, memory, say))]
    try:
        await fleet.open()
        opened = memory.look()
        began_s, before = time.perf_counter(), (fleet.frames(), fleet.bytes())
        _forget_the_beginning(fleet)
        tasks.append(asyncio.create_task(fleet.reconnect()))
        published = await _publish(order) if publish_token else await _wait(plan.seconds)
        fleet.churn = 0.0
        seconds = time.perf_counter() - began_s
        frames, data = fleet.frames() - before[0], fleet.bytes() - before[1]
        await fleet.settle(published["sent_ms"], SETTLE_S)
        memory.look()
        await fleet.hear_why(HEAR_WHY_S)
    finally:
        for task in tasks:
            task.cancel()
        fleet.close()
    return {
        "plan": _described(plan),
        "seconds": round(seconds, 2),
        "frames": frames,
        "frames_per_second": round(frames / seconds, 1),
        "bytes_per_second": round(data / seconds),
        "latency_ms": _quantiles(fleet.tally.whole),
        "published": _published(published, seconds),
        "values": _values(fleet, published["sent_ms"]),
        "gaps": fleet.tally.gaps,
        "steps_back": fleet.tally.steps_back,
        "conflated": fleet.tally.conflated,
        "snapshots": fleet.tally.snapshots,
        "reconnects": fleet.tally.reconnects,
        "closes": [
            {"code": code, "count": count, "reason": fleet.tally.reasons[code]}
            for code, count in sorted(fleet.tally.codes.items())
        ],
        "server_memory": {
            "processes": len(memory.found),
            "before_bytes": memory.before,
            "opened_bytes": opened,
            "most_bytes": memory.most,
            "end_bytes": memory.now,
        }
        if memory.found
        else None,
    }


def _publish_once(order: Order) -> None:
    """Makes the series, and hears whether it may."""
    connection = Target(order.host, order.port, order.secure).connection()
    try:
        publisher.post(connection, order, time.time() * 1000)
    finally:
        connection.close()


def _forget_the_beginning(fleet: Fleet) -> None:
    """What came with the first snapshots was published before, and belongs to no figure."""
    tally = fleet.tally
    tally.whole, tally.second = Latencies(), Latencies()
    tally.shown = tally.stale = tally.snapshots = 0
    for seat in fleet.seats:
        for trail in seat.trails.values():
            trail.shown = 0


async def _publish(order: Order) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dashboard.loadtest.publisher",
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        said, trouble = await process.communicate(json.dumps(asdict(order)).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = trouble.decode(errors="replace").strip().splitlines()
        raise CannotTest(lines[-1] if lines else "The publisher ended without saying why")
    found: dict[str, Any] = json.loads(said)
    return found


async def _wait(seconds: float) -> dict[str, Any]:
    await asyncio.sleep(seconds)
    return {"sent_ms": [], "took_ms": []}


async def _report(fleet: Fleet, memory: Memory, say: Say) -> None:
    """A line a second."""
    began_s = then_s = time.perf_counter()
    before = 0
    while True:
        await asyncio.sleep(1.0)
        now_s, frames, tally = time.perf_counter(), fleet.frames(), fleet.tally
        rate = (frames - before) / (now_s - then_s)
        then_s, before = now_s, frames
        second, tally.second = tally.second, Latencies()
        line = (
            f"{now_s - began_s:5.0f} s  connected {fleet.connected:,}/{len(fleet.seats):,}  "
            f"{rate:>9,.0f} frames/s"
        )
        if second.count:
            line += f"  p50 {second.quantile(0.5):.1f} ms  p99 {second.quantile(0.99):.1f} ms"
        line += f"  gaps {tally.gaps}  steps back {tally.steps_back}"
        if tally.codes:
            line += f"  closed {tally.codes.total():,}"
        if memory.found:
            line += f"  server {memory.look() / 2**20:,.0f} MiB"
        say(line)


def _quantiles(latencies: Latencies) -> dict[str, float] | None:
    if not latencies.count:
        return None
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
    found = {name: round(latencies.quantile(share), 2) for name, share in shares.items()}
    return {**found, "max": round(latencies.most_ms, 2), "count": latencies.count}


def _published(published: dict[str, Any], seconds: float) -> dict[str, Any]:
    answered = Latencies()
    for ms in published["took_ms"]:
        answered.add(ms)
    count = len(published["sent_ms"])
    return {
        "calls": count,
        "per_second": round(count / seconds, 2),
        "answered_ms": _quantiles(answered),
    }


def _values(fleet: Fleet, sent_ms: list[float]) -> dict[str, int]:
    """Of the good clients: each value, for each watch, was shown, replaced or never came."""
    trails = sum(len(seat.trails) for seat in fleet.seats if seat.kind == "good")
    lost, shown = fleet.missing(sent_ms), fleet.shown_good()
    due = trails * len(sent_ms)
    return {
        "due": due,
        "shown": shown,
        "replaced": max(0, due - shown - lost),
        "lost": lost,
        "late_by_reconnecting": fleet.tally.stale,
    }


def _described(plan: Plan) -> dict[str, Any]:
    kinds = plan.kinds
    return {
        "url": plan.target.url,
        "sockets": plan.sockets,
        "slow": kinds.count("slow"),
        "stuck": kinds.count("stuck"),
        "series": plan.series,
        "watches": plan.watches,
        "rate": plan.rate,
        "churn": plan.churn,
        "form": plan.subprotocol,
        "run": plan.run,
    }
