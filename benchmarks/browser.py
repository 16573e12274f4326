"""What a page of twelve panels costs the browser's main thread, and whether its memory stays."""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from benchmarks.processes import Pulseboard, folder, how_pinned, on_load_cores
from benchmarks.report import Report
from benchmarks.scale import Scale
from tests.support.chromium import MISSING, find_chromium, launch_arguments

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Page

TITLE = "Browser: 12 panels x 10 series x 10 updates/s, 3,600 points each"
PANELS = 12
LINES = 10  # of every panel
UPDATES_PER_S = 10.0
POINTS = 3600
STEP_MS = 1000
SECONDS_A_POST = 40  # of history
WIDE_PX, HIGH_PX = 1920, 1200
PAGE_TIMEOUT_MS = 60_000
HEAP_MINUTES = 30  # what the slope is extrapolated to
HEAP_LOOKS = 18
METRIC = "benchmark_browser"

# A user with a session, and a dashboard: all that a page needs.
PREPARE = f"""
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from dashboard.models import Dashboard, Panel
user = get_user_model().objects.create_user("benchmark")
session = SessionStore()
session[SESSION_KEY] = str(user.pk)
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.create()
board = Dashboard.objects.create(slug="benchmark", title="Benchmark")
for number in range({PANELS}):
    Panel.objects.create(
        dashboard=board, position=number, title=f"Panel {{number}}", width=4, height=3,
        expr=f'{METRIC}{{{{panel="{{number}}"}}}}', legend="{{{{line}}}}",
    )
print(session.session_key)
"""

# A chart asks for steps as wide as its pixels; here each asks for one a second, whatever its width.
# And it is counted how often a chart is drawn.
INSTRUMENTS = f"""
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {{
  const isWatch = typeof data === "string" && data.startsWith('{{"type":"watch",');
  return send.call(this, isWatch ? data.replace(/"step_ms":\\d+/, '"step_ms":{STEP_MS}') : data);
}};
window.drawings = 0;
const clear = CanvasRenderingContext2D.prototype.clearRect;
CanvasRenderingContext2D.prototype.clearRect = function (...where) {{
  window.drawings += 1;
  return clear.apply(this, where);
}};
"""


class Moment(NamedTuple):
    """What the page had used up to then: seconds, and drawings."""

    at_s: float
    main_s: float  # processor time of the main thread
    task_s: float
    script_s: float
    all_s: float  # processor time of all of the browser's processes
    drawings: int


def run(scale: Scale, report: Report) -> None:
    chromium = find_chromium()
    if chromium is None:
        report.note(MISSING)
        return
    report.note(how_pinned())
    report.note(
        f"{WIDE_PX} x {HIGH_PX} pixels, all {PANELS} panels in sight, drawn without a graphics "
        "card; every chart is made to ask for steps of a second"
    )
    report.note(
        "main thread: its processor time; tasks by the clock also wait for the processor. New "
        "values are written at each update; a chart in which a pixel lasts seconds is drawn at "
        "most four times a second, and less often where drawing would take over a quarter of the "
        "time"
    )
    from playwright.sync_api import sync_playwright

    points = scale.part(POINTS, SECONDS_A_POST)
    if points != POINTS:
        report.note(f"only {points:,} points each")
    with folder() as data, Pulseboard(data, "--no-jobs") as server:
        _, token = server.tokens()
        session = server.manage("shell", "-v0", "-c", PREPARE)
        publisher = Publisher(server.port, token)
        publisher.history(points)
        with on_load_cores(), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=launch_arguments())
            with publisher.publishing():
                _watch(scale, report, browser, server.port, session, points)
            browser.close()


class Publisher:
    """Every line a random walk of its own: no two updates draw the same picture."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        self._random = random.Random(7)
        self._walks = [float(10 * (i % LINES)) for i in range(PANELS * LINES)]
        self._stop = threading.Event()

    def history(self, seconds: int) -> None:
        """Two samples a second of every series, up to now: each step has a least and a greatest."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        first_ms = (int(time.time()) - seconds) * 1000
        for begin in range(0, seconds, SECONDS_A_POST):
            moments = range(2 * begin, 2 * min(seconds, begin + SECONDS_A_POST))
            self._post(connection, [s for i in moments for s in self._samples(first_ms + i * 500)])

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Publishes UPDATES_PER_S updates of all series, until the block is left."""
        thread = threading.Thread(target=self._publish, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _publish(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        due_s = time.perf_counter()
        while not self._stop.wait(max(0.0, due_s - time.perf_counter())):
            due_s += 1 / UPDATES_PER_S
            self._post(connection, self._samples(int(time.time() * 1000)))

    def _samples(self, at_ms: int) -> list[dict[str, Any]]:
        for i in range(len(self._walks)):
            self._walks[i] += self._random.gauss(0, 1)
        return [
            {
                "metric": METRIC,
                "labels": {"panel": str(i // LINES), "line": f"line-{i % LINES}"},
                "value": round(walk + 5 * math.sin(at_ms / 60_000 + i), 3),
                "time": at_ms,
            }
            for i, walk in enumerate(self._walks)
        ]

    def _post(self, connection: HTTPConnection, samples: list[dict[str, Any]]) -> None:
        body = json.dumps({"samples": samples}).encode()
        connection.request("POST", "/api/v1/samples", body, self._headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"publishing was answered {answer.status}: {said.decode()}")


def _watch(
    scale: Scale, report: Report, browser: Browser, port: int, session: str, points: int
) -> None:
    address = f"http://127.0.0.1:{port}"
    context = browser.new_context(viewport={"width": WIDE_PX, "height": HIGH_PX})
    context.set_default_timeout(PAGE_TIMEOUT_MS)
    context.add_cookies([{"name": "pulseboard", "value": session, "url": address}])
    context.add_init_script(INSTRUMENTS)
    page = context.new_page()
    minutes = max(1, points * STEP_MS // 60_000)
    page.goto(f"{address}/d/benchmark/?range={minutes}m")
    page.locator(".panel[data-state=ready]").nth(PANELS - 1).wait_for()
    page.wait_for_timeout(1000 * (scale.warm_s + scale.window_s))
    inspect = context.new_cdp_session(page)
    inspect.send("Performance.enable")
    pid = _renderer(browser)
    heap = [_heap(inspect)]
    before = _moment(page, inspect, pid)
    pause_s = scale.browser_s / HEAP_LOOKS
    for _ in range(round(scale.browser_s / scale.window_s) or 1):
        page.wait_for_timeout(1000 * scale.window_s)
        if time.perf_counter() - heap[-1][0] >= pause_s:
            # Outside of what is measured: forcing a collection costs the main thread time.
            _say(report, before, _moment(page, inspect, pid))
            heap.append(_heap(inspect))
            before = _moment(page, inspect, pid)
    if before.at_s < heap[-1][0] or len(heap) == 1:
        _say(report, before, _moment(page, inspect, pid))
    _say_heap(report, heap)
    context.close()


def _moment(page: Page, inspect: CDPSession, pid: int) -> Moment:
    measured = {m["name"]: m["value"] for m in inspect.send("Performance.getMetrics")["metrics"]}
    threads = {thread.id: thread for thread in psutil.Process(pid).threads()}
    # On Linux the first thread of a process has its number; elsewhere tasks are the next best.
    main = threads.get(pid)
    task_s = measured["TaskDuration"]
    return Moment(
        time.perf_counter(),
        main.user_time + main.system_time if main else task_s,
        task_s,
        measured["ScriptDuration"],
        _all_s(pid),
        page.evaluate("window.drawings"),
    )


def _all_s(pid: int) -> float:
    browser = psutil.Process(pid)
    while (parent := browser.parent()) is not None and "chrom" in parent.name():
        browser = parent
    times = [process.cpu_times() for process in (browser, *browser.children(recursive=True))]
    return float(sum(t.user + t.system for t in times))


def _renderer(browser: Browser) -> int:
    """The process that has done most: the page's own, not one kept in reserve."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    renderers = [process for process in processes if process["type"] == "renderer"]
    return int(max(renderers, key=lambda process: process["cpuTime"])["id"])


def _heap(inspect: CDPSession) -> tuple[float, float]:
    """(moment in s, MiB in use after a collection)."""
    inspect.send("HeapProfiler.collectGarbage")
    used = inspect.send("Runtime.getHeapUsage")
    held = used["usedSize"] + used.get("backingStorageSize", 0)
    return time.perf_counter(), held / 2**20


def _say(report: Report, before: Moment, after: Moment) -> None:
    elapsed_s = after.at_s - before.at_s
    per_update = 1000 / (UPDATES_PER_S * elapsed_s)
    report.add("main thread", "% of a core", 100 * (after.main_s - before.main_s) / elapsed_s)
    report.add("main thread, an update", "ms", per_update * (after.main_s - before.main_s))
    report.add(
        "tasks, by the clock", "% of a core", 100 * (after.task_s - before.task_s) / elapsed_s
    )
    report.add("of it scripts", "% of a core", 100 * (after.script_s - before.script_s) / elapsed_s)
    report.add("all of Chromium", "% of a core", 100 * (after.all_s - before.all_s) / elapsed_s)
    drawings = (after.drawings - before.drawings) / elapsed_s / PANELS
    report.add("drawings of each panel", "/s", drawings)


def _say_heap(report: Report, heap: list[tuple[float, float]]) -> None:
    for _, mib in heap:
        report.add("heap after a collection, buffers included", "MiB", mib)
    # What the browser sets up in its first looks is no growth.
    heap = heap[len(heap) // 3 :]
    if len(heap) < 3:
        return
    moments, sizes = [at for at, _ in heap], [mib for _, mib in heap]
    mean_s, mean_mib = sum(moments) / len(heap), sum(sizes) / len(heap)
    spread = sum((at - mean_s) ** 2 for at in moments)
    slope = sum((at - mean_s) * (mib - mean_mib) for at, mib in heap) / spread
    report.add("heap, its slope", "KiB/min", slope * 60 * 1024)
    if moments[-1] - moments[0] < 60 * HEAP_MINUTES / 2:
        report.add(
            f"heap after {HEAP_MINUTES} minutes, extrapolated",
            "MiB",
            sizes[0] + slope * 60 * HEAP_MINUTES,
        )
