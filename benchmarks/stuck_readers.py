"""Browsers that stop reading, beside browsers that read: who pays for them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

from benchmarks import loop
from benchmarks.processes import Effort, Helper, Pulseboard, folder, how_pinned
from benchmarks.publisher import Plan, expressions
from benchmarks.report import Report
from benchmarks.scale import Scale
from benchmarks.sockets import CONNECTING_AT_ONCE, READY_TIMEOUT_S, Fleet, Greeting, watching
from benchmarks.systems import VARIABLES
from dashboard.loadtest.reader import Reader
from dashboard.loadtest.wire import BINARY_FORM

TITLE = "Stuck readers: as many browsers that do not read beside those that do"
RATE = 10.0
PANELS, LINES = 4, 100  # so much that the room of one that does not read is full in seconds
SETTLE_S = 0.5
SMALL_BUFFER_BYTES = 4096  # of the kernel, at the reader
LOOK_S = 0.1
SETTINGS = {name: value for name, value in VARIABLES.items() if name != "TICK_MS"}


def run(scale: Scale, report: Report) -> None:
    report.note(how_pinned())
    report.note(
        f"all watch the same {PANELS} panels of {LINES} series, {RATE:g} updates a second; the "
        "stuck ones read nothing after the first snapshots; latencies are counted after "
        f"{2 * scale.warm_s:g} s"
    )
    for _ in range(scale.repeats):
        for stuck in (0, scale.crowd):
            with folder() as data, Pulseboard(data, "--no-jobs", variables=SETTINGS) as server:
                loop.run(_measure(scale, report, server, stuck))
    _compare(report, scale.crowd)


async def _measure(scale: Scale, report: Report, server: Pulseboard, stuck: int) -> None:
    read, publish = server.tokens()
    fleet = Fleet(server.port)
    name = f"{scale.crowd:,} good, {stuck:,} stuck"
    deaf: list[Reader] = []
    seconds = 2 * scale.warm_s + scale.window_s
    try:
        greeting = watching(read, expressions(PANELS), subprotocol=BINARY_FORM)
        await fleet.open(scale.crowd, greeting)
        plan = Plan("http", seconds, RATE, server.port, publish, PANELS, LINES)
        deaf = await _open_stuck(server.port, stuck, greeting)
        before_mib, most_mib = server.rss_mib(), 0.0
        fleet.track()
        effort = Effort(server)
        with Helper("benchmarks.publisher", plan.arguments(), server.folder) as helper:
            waiting = asyncio.ensure_future(asyncio.to_thread(helper.output))
            while not waiting.done():
                most_mib = max(most_mib, server.rss_mib())
                await asyncio.sleep(LOOK_S)
            sent_ms = json.loads(await waiting)["sent_ms"]
        report.add(f"{name}: server's CPU", "% of a core", effort.percent())
        await asyncio.sleep(SETTLE_S)
        counted = [ms for ms in sent_ms if ms >= sent_ms[0] + 2 * scale.warm_s * 1000]
        latencies_ms, _, lost = fleet.latencies_ms(counted)
        report.add_quantiles(f"{name}: the good ones", "ms", latencies_ms)
        report.add(f"{name}: memory grew by at most", "MiB", most_mib - before_mib)
        if stuck:
            grown_kib = 1024 * (most_mib - before_mib)
            report.add(f"{name}: for each stuck one", "KiB", grown_kib / stuck)
        if lost:
            report.note(f"{name}: {lost} deliveries to the good ones never came")
    finally:
        for one in deaf:
            one.close()
        fleet.close()


async def _open_stuck(port: int, count: int, greeting: Greeting) -> list[Reader]:
    """They greet, get their snapshots, and read no more."""
    loop = asyncio.get_running_loop()
    found: list[Reader] = []
    for first in range(0, count, CONNECTING_AT_ONCE):
        group = []
        for _ in range(first, min(count, first + CONNECTING_AT_ONCE)):
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
            plain.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                await loop.sock_connect(plain, ("127.0.0.1", port))
            reader = Reader(f"127.0.0.1:{port}", greeting)
            await loop.create_connection(reader.itself, sock=plain)
            group.append(reader)
        async with asyncio.timeout(READY_TIMEOUT_S):
            await asyncio.gather(*(reader.ready for reader in group))
        for reader in group:
            reader.pause()
        found += group
    return found


def _compare(report: Report, crowd: int) -> None:
    without, beside = (f"{crowd:,} good, {n:,} stuck: the good ones" for n in (0, crowd))
    for part in ("p50", "p99"):
        pairs = zip(
            report.values(f"{beside}, {part}"), report.values(f"{without}, {part}"), strict=False
        )
        for one, two in pairs:
            report.add(f"beside stuck ones / without, {part}", "times the latency", one / two)
