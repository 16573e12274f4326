"""A publisher in a process of its own: publishes the moment of sending, and says what it sent.

    python -m benchmarks.publisher '{"how": "http", "port": 8000, "token": "pb_...", ...}'

Prints one JSON object at the end: `sent_ms`, and how long each call took, `took_ms`.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from http.client import HTTPConnection
from typing import Any

LINES_PER_PANEL = 12  # makes an update of about 300 bytes
JITTER = 0.2  # so that it keeps no step with the server's own clocks
METRIC = "benchmark"

Send = Callable[[float], None]


@dataclass(frozen=True)
class Plan:
    """`how`: http, gauge or record (this project's API in another process), stock, nchan;
    walk: as http, but with values of two decimals, all different, instead of the time.

    `rate` in calls per second, 0: each as soon as the one before was answered. A call publishes
    `panels` panels of `lines` series each; panels 0: one series.
    """

    how: str
    seconds: float
    rate: float
    port: int = 0
    token: str = ""
    panels: int = 0
    lines: int = LINES_PER_PANEL

    def arguments(self) -> list[str]:
        return [json.dumps(asdict(self))]


class Http:
    """A connection that is kept."""

    def __init__(self, plan: Plan) -> None:
        self._connection = HTTPConnection("127.0.0.1", plan.port, timeout=60)
        self._headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {plan.token}",
        }

    def post(self, path: str, content: dict[str, Any]) -> None:
        self._connection.request("POST", path, json.dumps(content).encode(), self._headers)
        answer = self._connection.getresponse()
        said = answer.read()
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{answer.status}: {said.decode()}")


def sender(plan: Plan) -> Send:
    """How one call is made; its argument is the value, the time of sending in ms."""
    if plan.how in ("http", "walk", "stock", "nchan"):
        http = Http(plan)
        if plan.how == "http":
            return lambda at_ms: http.post(
                "/api/v1/samples", samples(plan.panels, at_ms, plan.lines)
            )
        if plan.how == "walk":
            return lambda at_ms: http.post("/api/v1/samples", walk(plan.panels, plan.lines))
        if plan.how == "stock":
            return lambda at_ms: http.post("/", frames(plan.panels, at_ms))
        return partial(_post_each, http, plan.panels)
    import django

    django.setup()
    from metrics import publish
    from metrics.samples import Sample

    if plan.how == "gauge":
        return lambda at_ms: publish.gauge(METRIC, at_ms)
    return lambda at_ms: (publish.record([Sample(METRIC, at_ms)]), None)[1]


def _post_each(http: Http, panels: int, at_ms: float) -> None:
    """nchan takes one message a request."""
    for frame in frames(panels, at_ms)["frames"]:
        http.post("/publish", frame)


def samples(panels: int, at_ms: float, lines: int = LINES_PER_PANEL) -> dict[str, Any]:
    """The body of POST /api/v1/samples."""
    if not panels:
        return {"samples": [{"metric": METRIC, "value": at_ms}]}
    return {
        "samples": [
            {"metric": METRIC, "labels": {"panel": str(panel), "line": str(line)}, "value": at_ms}
            for panel in range(1, panels + 1)
            for line in range(lines)
        ]
    }


def walk(panels: int, lines: int) -> dict[str, Any]:
    """As samples(), with values as people have them."""
    found = samples(panels, 0.0, lines)
    for sample in found["samples"]:
        sample["value"] = round(random.gauss(100, 10), 2)
    return found


def expressions(panels: int) -> list[str]:
    """What a browser watches to see all of samples()."""
    if not panels:
        return [METRIC]
    return [f'{METRIC}{{panel="{panel}"}}' for panel in range(1, panels + 1)]


def frames(panels: int, at_ms: float) -> dict[str, Any]:
    """The same updates, ready to be sent to browsers: what stock Channels is given."""
    step_ms = int(at_ms) // 1000 * 1000 + 1000
    return {
        "frames": [
            {
                "type": "update",
                "id": panel,
                "times": [step_ms],
                "values": [[at_ms]] * LINES_PER_PANEL,
                "cursor": "0123abcd:12345",
            }
            for panel in range(1, max(1, panels) + 1)
        ]
    }


def publish_all(plan: Plan) -> dict[str, list[float]]:
    """Publishes for plan.seconds."""
    send = sender(plan)
    sent_ms: list[float] = []
    took_ms: list[float] = []
    next_s = time.perf_counter()
    end_s = next_s + plan.seconds
    while time.perf_counter() < end_s:
        at_ms = time.time() * 1000
        send(at_ms)
        took_ms.append(time.time() * 1000 - at_ms)
        sent_ms.append(at_ms)
        if plan.rate:
            next_s += random.uniform(1 - JITTER, 1 + JITTER) / plan.rate
            time.sleep(max(0.0, next_s - time.perf_counter()))
    return {"sent_ms": sent_ms, "took_ms": took_ms}


if __name__ == "__main__":
    print(json.dumps(publish_all(Plan(**json.loads(sys.argv[1])))))
