"""kill -9 at any moment: what was answered 200 is there, and what was retried counts once.

PULSEBOARD_KILLS=200 kills more often.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
from collections import Counter

import pytest
from django.db import connection

from metrics.columns import Columns
from tests.conftest import NewServer
from tests.support.product import Product
from tests.support.samples import NOW_MS, stored
from tests.support.store import Program, rows
from tests.support.waiting import eventually

KILLS = int(os.environ.get("PULSEBOARD_KILLS", "10"))
PUBLISHER_KILLS = max(3, KILLS // 10)
WRITERS = 3
BATCH = 20
BASE_MS = 1_700_000_000_000
TIMEOUT_S = 30.0
PAUSE_S = 0.02  # before a publisher whose server is gone tries again


class Writer(threading.Thread):
    """A publisher that notes what it sent and what was answered 200.

    Each request holds readings (value = number, at a time of its own) and one increment. It is
    repeated with its Idempotency-Key until it is answered, over all the server's deaths.
    """

    def __init__(self, server: Product, token: str, name: str, stop: threading.Event) -> None:
        super().__init__(name=name)
        self._server = server
        self._token = token
        self._stop_asked = stop
        self._connection: http.client.HTTPConnection | None = None
        self.sent = 0
        self.answered: list[int] = []
        self.retried = 0
        self.unexpected: Counter[int] = Counter()

    def run(self) -> None:
        while not self._stop_asked.is_set():
            number = self.sent
            self.sent += 1
            while not self._post(number):
                if self.unexpected:
                    return
                self.retried += 1
                self._stop_asked.wait(PAUSE_S)
            self.answered.append(number)

    def _post(self, number: int) -> bool:
        times = range(BASE_MS + number * BATCH, BASE_MS + (number + 1) * BATCH)
        labels = {"writer": self.name}
        samples: list[dict[str, object]] = [
            {"metric": "reading", "labels": labels, "value": at - BASE_MS, "time": at}
            for at in times
        ]
        samples.append(
            {"metric": "requests_total", "labels": labels, "value": 1, "kind": "increment"}
        )
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"{self.name}-{number}",
        }
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(
                    "127.0.0.1", self._server.port, timeout=TIMEOUT_S
                )
            body = json.dumps({"samples": samples})
            self._connection.request("POST", "/api/v1/samples", body, headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            self._connection = None
            return False
        if response.status == 503:
            return False
        if response.status != 200:
            self.unexpected[response.status] += 1
            return False
        assert json.loads(answer)["stored"] == BATCH + 1
        return True


class Log:
    """What a dead server leaves in its database."""

    def __init__(self, server: Product) -> None:
        self._url = server.database_url

    def readings(self, metric: str, writer: str) -> list[tuple[int, float]]:
        """(time, value) of every stored sample of a series, repeated ones repeatedly."""
        [(id,)] = rows(
            self._url,
            "SELECT s.id FROM metrics_series s JOIN metrics_metric m ON m.id = s.metric_id"
            f" WHERE m.name = '{metric}' AND CAST(s.labels AS text) LIKE '%\"{writer}\"%'",
        )
        found: list[tuple[int, float]] = []
        for (data,) in rows(self._url, "SELECT data FROM metrics_batch ORDER BY id"):
            columns = Columns.unpack(data)
            mine = columns.take(columns.series == id)
            found += zip(mine.times.tolist(), mine.values.tolist(), strict=True)
        return found

    def is_whole(self) -> bool:
        """SQLite's files were in the dead process's hands; PostgreSQL's never are."""
        if not self._url.startswith("sqlite"):
            return True
        return rows(self._url, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.slow
def test_a_killed_server_has_all_it_answered_and_nothing_twice(new_server: NewServer) -> None:
    server = new_server({"HEAD_SECONDS": "60"})
    token = server.token()
    kills = KILLS if server.database_url.startswith("sqlite") else max(3, KILLS // 3)
    stop = threading.Event()
    writers = [Writer(server, token, f"w{number}", stop) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(kills):
            before = sum(len(writer.answered) for writer in writers)
            wanted = before + random.randint(1, 60)
            eventually(
                lambda wanted=wanted: sum(len(one.answered) for one in writers) >= wanted,  # type: ignore[misc]
                TIMEOUT_S,
                "requests are answered",
            )
            server.kill9()
            server.start()
        before = sum(len(writer.answered) for writer in writers)
        eventually(lambda: sum(len(one.answered) for one in writers) > before + 10, TIMEOUT_S)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    server.kill9()
    log = Log(server)
    assert log.is_whole()
    assert sum(writer.retried for writer in writers) >= kills, "kills met requests"
    for writer in writers:
        assert not writer.unexpected
        assert writer.answered == list(range(writer.sent))
        readings = log.readings("reading", writer.name)
        assert Counter(readings) == Counter(
            (BASE_MS + n, float(n)) for n in range(writer.sent * BATCH)
        ), "every sample once"
        totals = [value for _, value in log.readings("requests_total", writer.name)]
        assert totals == [float(n) for n in range(1, writer.sent + 1)]


PUBLISHER = f"""
import itertools
from metrics import publish
from metrics.samples import Sample
for number in itertools.count():
    publish.record([Sample("reading", float(number), {{}}, {NOW_MS} + number),
                    Sample("orders_total", 1.0, kind="increment")])
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_killed_publisher_has_stored_what_it_was_told(store: str) -> None:
    connection.close()
    told: list[list[int]] = []
    for _ in range(PUBLISHER_KILLS):
        program = Program(store, PUBLISHER).started().go()
        lines = [program.line() for _ in range(random.randint(1, 40))]
        os.kill(program.pid, signal.SIGKILL)
        rest = program.finish(-signal.SIGKILL)
        told.append([int(line) for line in [*lines, *rest.splitlines()] if line.strip()])
    there = stored("reading")
    assert set(range(NOW_MS, NOW_MS + max(map(max, told)) + 1)) <= set(there)
    assert all(value == at_ms - NOW_MS for at_ms, value in there.items())
    total = max(stored("orders_total").values())
    answered = sum(map(len, told))
    # Each may have died between its commit and its answer.
    assert answered <= total <= answered + PUBLISHER_KILLS
