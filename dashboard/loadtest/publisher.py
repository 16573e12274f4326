"""The publisher of a load test, in a process of its own: publishes the moment of sending.

    python -m dashboard.loadtest.publisher < plan.json

reads one JSON object (Order) from standard input, since a command line shows its token to
everybody, and prints one at the end: `sent_ms`, `took_ms`. With `seconds` over it ends by itself.
"""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

from dashboard.loadtest.plan import METRIC, CannotTest, Target

JITTER = 0.2  # so that it keeps no step with the server's own clocks


@dataclass(frozen=True)
class Order:
    """`rate` in calls a second; each publishes all series, spread over the panels."""

    host: str
    port: int
    secure: bool
    token: str
    run: str
    series: int
    panels: int
    rate: float
    seconds: float


def samples(order: Order, value: float) -> bytes:
    """The body of one call: every series has `value`."""
    found = [
        {
            "metric": METRIC,
            "labels": {"run": order.run, "panel": str(1 + n % order.panels), "series": str(n)},
            "value": value,
        }
        for n in range(order.series)
    ]
    return json.dumps({"samples": found}).encode()


def post(connection: HTTPConnection, order: Order, value: float) -> None:
    """Raises CannotTest when it is refused."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {order.token}"}
    try:
        connection.request("POST", "/api/v1/samples", samples(order, value), headers)
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise CannotTest(f"Publishing failed: the server does not answer ({error})") from None
    if answer.status in (401, 403):
        raise CannotTest(
            f"The token may not publish here ({answer.status} {said.strip()}): make one with "
            "manage.py token NAME --scope publish and give it as --publish-token"
        )
    if answer.status != 200:
        raise CannotTest(f"Publishing was refused: {answer.status} {said.strip()}")


def publish_all(order: Order) -> dict[str, Any]:
    """Publishes for `seconds`; when each call began and how long it took. Raises CannotTest."""
    connection = Target(order.host, order.port, order.secure).connection()
    sent_ms: list[float] = []
    took_ms: list[float] = []
    next_s = time.perf_counter()
    end_s = next_s + order.seconds
    while time.perf_counter() < end_s:
        at_ms = time.time() * 1000
        post(connection, order, at_ms)
        took_ms.append(time.time() * 1000 - at_ms)
        sent_ms.append(at_ms)
        next_s += random.uniform(1 - JITTER, 1 + JITTER) / order.rate
        time.sleep(max(0.0, next_s - time.perf_counter()))
    connection.close()
    return {"sent_ms": sent_ms, "took_ms": took_ms}


if __name__ == "__main__":
    try:
        print(json.dumps(publish_all(Order(**json.load(sys.stdin)))))
    except CannotTest as refused:
        sys.exit(str(refused))
