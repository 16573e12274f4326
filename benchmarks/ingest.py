"""Samples per second that POST /api/v1/samples makes durable."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from pathlib import Path

from benchmarks import loop
from benchmarks.processes import Effort, Pulseboard, folder, how_pinned
from benchmarks.report import Report, quantile
from benchmarks.scale import Scale

TITLE = "Ingest over HTTP: samples per second that POST /api/v1/samples makes durable"
BATCHES = (1, 100, 1000)
CONNECTIONS = (1, 8)
BUSY_PERCENT = 90


def run(scale: Scale, report: Report) -> None:
    report.note(how_pinned())
    report.note("every sample is of a series of its own; each request is answered when durable")
    with folder() as data, Pulseboard(data, "--no-jobs") as server:
        stored = loop.run(_measure(scale, report, server))
        server.stop()
        _check(report, data, stored)


async def _measure(scale: Scale, report: Report, server: Pulseboard) -> int:
    """Returns how many samples were answered 200."""
    stored = 0
    _, token = server.tokens()
    for batch in BATCHES:  # the series are made here, not while measuring
        for number in range(max(CONNECTIONS)):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request(token, number, batch))
            await answered(reader)
            writer.close()
            stored += batch
    for _ in range(scale.repeats):
        for connections in CONNECTIONS:
            for batch in BATCHES:
                stored += await _load(scale, report, server, token, connections, batch)
    return stored


async def _load(
    scale: Scale, report: Report, server: Pulseboard, token: str, connections: int, batch: int
) -> int:
    took_ms: list[float] = []
    effort, own = Effort(server), Effort()
    began_s = time.perf_counter()
    end_s = began_s + scale.window_s / 2
    await asyncio.gather(
        *(
            _publish(server.port, request(token, number, batch), end_s, took_ms)
            for number in range(connections)
        )
    )
    elapsed_s = time.perf_counter() - began_s
    many = "1 connection" if connections == 1 else f"{connections} connections"
    name = f"batches of {batch:,}, {many}"
    report.add(name, "samples/s", batch * len(took_ms) / elapsed_s)
    report.add(f"{name}: answered within, p99", "ms", quantile(took_ms, 0.99))
    report.add(f"{name}: server's CPU", "% of a core", effort.percent())
    if own.percent() > BUSY_PERCENT:
        report.note(f"{name}: the client was the limit, the server could have done more")
    return batch * len(took_ms)


def request(token: str, connection: int, batch: int) -> bytes:
    """A whole HTTP request; the times are the server's to give."""
    body = json.dumps(
        {
            "samples": [
                {
                    "metric": "benchmark",
                    "labels": {"job": f"job-{connection}", "item": str(item)},
                    "value": 0.1 + item,
                }
                for item in range(batch)
            ]
        }
    ).encode()
    return (
        b"POST /api/v1/samples HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (token.encode(), len(body))
    ) + body


async def _publish(port: int, sent: bytes, end_s: float, took_ms: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while (began_s := time.perf_counter()) < end_s:
            writer.write(sent)
            await answered(reader)
            took_ms.append((time.perf_counter() - began_s) * 1000)
    finally:
        writer.close()


async def answered(reader: asyncio.StreamReader) -> None:
    """Reads one answer. Raises RuntimeError when it is not 200."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"a request was refused: {body.decode()}")


def _check(report: Report, data: Path, stored: int) -> None:
    """What was answered 200 is in the log."""
    database = sqlite3.connect(data / "pulseboard.sqlite3")
    (found,) = database.execute("SELECT sum(count) FROM metrics_batch").fetchone()
    database.close()
    if found < stored:
        raise RuntimeError(f"{stored:,} samples were answered 200, but {found:,} are kept")
    report.note(f"{stored:,} samples were answered 200; the log holds all of them")
