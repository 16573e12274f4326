"""A restart with thousands of browsers connected: when is everybody back, and at what cost.

`python -m benchmarks.storm <port> <token> <kept|new>` is a publisher: it posts ten times a second,
whatever comes of it, until its input ends, and then prints what came of each. It keeps its
connection while that lasts, or makes a new one for each call.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import loop
from benchmarks.processes import Helper, Server, environment, folder, how_pinned, on_load_cores
from benchmarks.report import Report, quantile
from benchmarks.returning import Crowd
from benchmarks.scale import Scale

TITLE = "Storm: the server restarts under all its browsers"
BROWSERS = 5000
SESSIONS = 500  # that these belong to
BACK_TIMEOUT_S = 120.0
SERIES = 10
HISTORY_S = 4 * 3600
HISTORY_STEP_S = 60
RATE = 10.0
CALM_S = 3.0  # before a restart, for comparison
SESSION_KEY = re.compile(r"'([a-z0-9]{32})'")
VARIABLES = {"CONNECTIONS_PER_USER": "1000"}
MINUTE_MS = 60_000
# What every browser watches: four panels that the head answers, and one older than that.
PANELS = [
    ("shop_orders", 15 * MINUTE_MS, 1000),
    ("sum(shop_orders)", 15 * MINUTE_MS, 1000),
    ("max(shop_orders)", 5 * MINUTE_MS, 1000),
    ("avg(shop_orders)", 5 * MINUTE_MS, 1000),
    ("shop_orders", 4 * 60 * MINUTE_MS, MINUTE_MS),
]


class Storm(NamedTuple):
    """One way to end a server, and what it is called."""

    name: str
    signal: signal.Signals


PUBLISHERS = {"kept": "publishing", "new": "publishing over new connections"}
STORMS = (Storm("SIGTERM", signal.SIGTERM), Storm("kill -9", signal.SIGKILL))


class Call(NamedTuple):
    """`status` 0: nobody answered."""

    began_s: float
    took_ms: float
    status: int


class Times(NamedTuple):
    """Seconds of the clock: since when all is calm, the signal, the first answer of the new server,
    and since when all browsers are live again."""

    calm_s: float
    signal_s: float
    answers_s: float
    back_s: float


def run(scale: Scale, report: Report) -> None:
    count = min(BROWSERS, scale.part(BROWSERS, 10)) if scale.name != "quick" else BROWSERS // 10
    report.note(how_pinned())
    report.note(
        f"{count:,} browsers of {min(SESSIONS, count)} people watch {len(PANELS)} panels each; the "
        "server is started again as soon as it has ended, and measured from the signal on, its "
        f"start included; beside it two publishers, {RATE:g} times a second each, one over a "
        "connection that it keeps, one over a new connection each time; what they do meanwhile is "
        "counted from the moment the server answers again"
    )
    for storm in STORMS:
        with folder() as data:
            _run_one(report, storm, count, data)


def _run_one(report: Report, storm: Storm, count: int, data: Path) -> None:
    asked = data / "asked.log"
    port = _free_port()
    arguments = ["-m", "benchmarks.counted_serve", str(asked), "--port", str(port), "--no-jobs"]
    with Server(arguments, data, VARIABLES) as server:
        with Helper("benchmarks.tokens", [], data) as helper:
            _, token = helper.output().split()
        with Helper("benchmarks.signins", [str(min(SESSIONS, count))], data) as helper:
            cookies = helper.output().split()
        _publish_history(port, token)
        loop.run(_measure(report, storm, count, server, asked, token, cookies))


async def _measure(
    report: Report,
    storm: Storm,
    count: int,
    server: Server,
    asked: Path,
    token: str,
    cookies: Sequence[str],
) -> None:
    panels = [
        {"type": "watch", "id": id, "expr": text, "range_ms": range_ms, "step_ms": step_ms}
        for id, (text, range_ms, step_ms) in enumerate(PANELS, start=1)
    ]
    crowd = Crowd(server.port, cookies, panels)
    publishers = {how: await _start_publisher(server, token, how) for how in PUBLISHERS}
    try:
        cpu_s = server.cpu_seconds()
        await crowd.open(count)
        cpu_ms = 1000 * (server.cpu_seconds() - cpu_s)
        report.add("a browser comes: the server's CPU", "ms", cpu_ms / count)
        calm_s = time.time()
        await asyncio.sleep(CALM_S)
        asked.write_text("")
        signal_s, began_s = time.time(), asyncio.get_running_loop().time()
        await asyncio.to_thread(_restart, server, storm.signal)
        started_s, answers_s = asyncio.get_running_loop().time(), time.time()
        await asyncio.sleep(0.1)
        await crowd.until_live(count, BACK_TIMEOUT_S)
        back_s, cpu_s = time.time(), server.cpu_seconds()
        statements = asked.read_text().splitlines()
        calls = {how: await _stop_publisher(one) for how, one in publishers.items()}
    finally:
        crowd.close()
        for publisher in publishers.values():
            if publisher.returncode is None:
                publisher.kill()
                await publisher.wait()
    report.add(f"{storm.name}: the new server's CPU until all are live", "s", cpu_s)
    _say_when(report, storm, crowd, began_s, started_s)
    times = Times(calm_s, signal_s, answers_s, back_s)
    for how, name in PUBLISHERS.items():
        _say_calls(report, f"{storm.name}: {name}", calls[how], times)
    _say_asked(report, storm, statements)


def _say_when(report: Report, storm: Storm, crowd: Crowd, began_s: float, started_s: float) -> None:
    back_s = [browser.live_s - began_s for browser in crowd.browsers]
    away_s = [browser.live_s - browser.lost_s for browser in crowd.browsers]
    report.add(f"{storm.name}: until the server answers again", "s", started_s - began_s)
    report.add(f"{storm.name}: until all are live again", "s", max(back_s))
    report.add(f"{storm.name}: until half are", "s", quantile(back_s, 0.5))
    report.add(f"{storm.name}: a browser is away, p50", "s", quantile(away_s, 0.5))
    report.add(f"{storm.name}: a browser is away, p99", "s", quantile(away_s, 0.99))
    told = sum(browser.told for browser in crowd.browsers)
    report.add(f"{storm.name}: were told when to come back", "browsers", told)
    bad = sum(number for status, number in crowd.refusals.items() if status >= "500")
    report.add(f"{storm.name}: handshakes answered 5xx", "answers", bad)
    if crowd.errors:
        report.note(f"{storm.name}: {len(crowd.errors)} errors, such as {crowd.errors[0]}")


def _say_calls(report: Report, name: str, calls: Sequence[Call], times: Times) -> None:
    calm = [one for one in calls if times.calm_s <= one.began_s < times.signal_s]
    away = [one for one in calls if times.signal_s <= one.began_s < times.answers_s]
    storming = [one for one in calls if times.answers_s <= one.began_s <= times.back_s]
    for when, these in (("before", calm), ("meanwhile", storming)):
        took_ms = [one.took_ms for one in these if one.status]
        if took_ms:
            report.add(f"{name} {when}, p50", "ms", quantile(took_ms, 0.5))
            report.add(f"{name} {when}, p99", "ms", quantile(took_ms, 0.99))
    refused = sum(not one.status for one in away)
    report.add(f"{name} while no server was there, refused", "calls", refused)
    waited_ms = [one.took_ms for one in away if one.status]
    if waited_ms:  # the port listens some time before anybody is served
        report.add(f"{name}: waited for the start, at most", "ms", max(waited_ms))
    failed = sum(not one.status for one in storming)
    report.add(f"{name} meanwhile, not answered", "calls", failed)
    bad = sum(one.status >= 500 for one in (*away, *storming))
    report.add(f"{name} answered 5xx", "answers", bad)


def _say_asked(report: Report, storm: Storm, statements: Sequence[str]) -> None:
    report.add(f"{storm.name}: database reads until all are live", "reads", len(statements))
    history = Counter(sql for sql in statements if "metrics_chunk" in sql)
    report.add(f"{storm.name}: of them for history", "reads", history.total())
    most = max(history.values(), default=0)
    report.add(f"{storm.name}: the very same of these", "times at most", most)
    signing_in = [sql for sql in statements if "session_data" in sql]
    keys = Counter(key for sql in signing_in for key in SESSION_KEY.findall(sql))
    report.add(f"{storm.name}: reads of sessions", "reads", len(signing_in))
    report.add(f"{storm.name}: the same session", "times at most", max(keys.values(), default=0))


def _restart(server: Server, how: signal.Signals) -> None:
    if how == signal.SIGKILL:
        os.kill(server.pid, how)
    server.stop()
    server.start()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _publish_history(port: int, token: str) -> None:
    now_ms = int(time.time() * 1000)
    times = range(now_ms - 1000 * HISTORY_S, now_ms, 1000 * HISTORY_STEP_S)
    publisher = Publisher(port, token)
    for time_ms in times:
        status = publisher.post(_samples(time_ms))
        if not 200 <= status < 300:
            raise RuntimeError(f"history could not be published: {status}")


def _samples(time_ms: int, metric: str = "shop_orders") -> dict[str, Any]:
    return {
        "samples": [
            {"metric": metric, "labels": {"line": str(line)}, "value": line, "time": time_ms}
            for line in range(SERIES)
        ]
    }


async def _start_publisher(server: Server, token: str, how: str) -> asyncio.subprocess.Process:
    with on_load_cores():
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.storm", str(server.port), token, how,
            env=environment(server.folder),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )  # fmt: skip


async def _stop_publisher(publisher: asyncio.subprocess.Process) -> list[Call]:
    said, _ = await publisher.communicate(b"\n")
    return [Call(*call) for call in json.loads(said)]


class Publisher:
    """Posts over a connection that is kept while it lasts, or not (`keep`)."""

    def __init__(self, port: int, token: str, keep: bool = True) -> None:
        self._port = port
        self._keep = keep
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection: HTTPConnection | None = None

    def post(self, content: dict[str, Any]) -> int:
        """The status; 0 when nobody answered."""
        try:
            if self._connection is None:
                self._connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
            body = json.dumps(content).encode()
            self._connection.request("POST", "/api/v1/samples", body, self._headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, HTTPException):
            self._connection = None
            return 0
        if not self._keep:
            self._connection.close()
            self._connection = None
        return answer.status


def publish_until_told(port: int, token: str, how: str) -> list[Call]:
    """What came of each call; ends when a line comes in."""
    from select import select

    publisher = Publisher(port, token, keep=how == "kept")
    calls: list[Call] = []
    while not select([sys.stdin], [], [], 1 / RATE)[0]:
        # What is watched changes once a second: the storm is to be measured, not the fan-out.
        metric = "shop_orders" if len(calls) % RATE == 0 else "shop_visits"
        at_s, began_s = time.time(), time.perf_counter()
        status = publisher.post(_samples(int(at_s * 1000), metric))
        calls.append(Call(at_s, 1000 * (time.perf_counter() - began_s), status))
    return calls


if __name__ == "__main__":
    print(json.dumps(publish_until_told(int(sys.argv[1]), *sys.argv[2:4])))
