"""A site with something in it, and its commands, for the tests of moving data."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client

from dashboard.environment import sqlite
from metrics import access, catalog, chunks, codec, intake, log, rollups
from metrics.models import Chunk, Series, Source
from metrics.moving import tables
from metrics.samples import EventSample, Sample
from tests.support.store import Program, default_database
from tests.support.waiting import eventually

Sums = dict[str, tables.Tally]

NOW_MS = 1_790_000_000_000  # a moment in 2026


def run(command: str, *arguments: object, **options: Any) -> str:
    """What a command says to people."""
    out = io.StringIO()
    call_command(command, *map(str, arguments), stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


def refusal(command: str, *arguments: object, **options: Any) -> str:
    """The one sentence in which a command says no."""
    with pytest.raises(CommandError) as caught:
        run(command, *arguments, **options)
    sentence = str(caught.value)
    assert len(sentence) > 20
    return sentence


def fill() -> None:
    """Samples in the log and in chunks, an event, a person, a token, dashboards."""
    catalog.forget()
    for second in range(3):
        intake.accept(
            [
                Sample("load", 0.25 * second, {"cpu": str(cpu)}, NOW_MS + 1000 * second)
                for cpu in range(4)
            ]
            + [Sample("orders_total", 2.0, {}, NOW_MS + 1000 * second, "increment")],
            now_ms=NOW_MS + 1000 * second,
            key=f"request {second}",
        )
    intake.accept_events([EventSample("deployed", "all\nof it", {"app": "shöp"})], now_ms=NOW_MS)
    times = np.arange(NOW_MS - 7_199_000, NOW_MS - 3_600_000, 1000)
    values = np.round(np.sin(times / 1e5), 2).astype(np.float64)
    id = Series.objects.filter(metric__name="load").first().pk  # type: ignore[union-attr]
    rolled = rollups.roll(times, values, 10_000)
    start_ms = chunks.window_of(int(times[0]), chunks.SAMPLES)
    stored = [chunks.row(id, 0, start_ms, len(times), codec.encode(times, values))]
    start_ms = chunks.window_of(int(times[0]), 10_000)
    stored += [chunks.row(id, 10_000, start_ms, len(rolled), rollups.encode(rolled))]
    Chunk.objects.bulk_create(stored)
    User.objects.create_superuser("ann", password="a long secret")  # noqa: S106
    access.make_token("shop")


@contextmanager
def on(url: str) -> Iterator[None]:
    """The site on the database with this URL, whichever engine."""
    if url.startswith("postgres"):
        with default_database(url):
            yield
        return
    before = connections.settings["default"]
    connections["default"].close()
    del connections["default"]
    configured = connections.configure_settings({"default": sqlite(Path(url[9:]))})
    connections.settings["default"] = configured["default"]
    try:
        yield
    finally:
        connections["default"].close()
        del connections["default"]
        connections.settings["default"] = before


def log_samples() -> int:
    return sum(len(columns) for _, columns in log.read(0, 1 << 62))


def work_goes_on(series: int) -> None:
    """The restored site takes new rows with new ids, and old people, tokens, keys and totals."""
    catalog.forget()
    access.forget()
    assert Client().login(username="ann", password="a long secret")
    assert Source.objects.get().name == "shop"
    top = Series.objects.order_by("-pk")[0].pk
    intake.accept([Sample("fresh", 1.0)], now_ms=NOW_MS)
    assert Series.objects.order_by("-pk")[0].pk > top
    assert Series.objects.count() == series + 1
    again = intake.accept([Sample("x", 1.0)], now_ms=NOW_MS, key="new request")
    assert not again.replayed
    total = intake.accept(
        [Sample("orders_total", 2.0, {}, NOW_MS, "increment")], now_ms=NOW_MS + 9000
    )
    assert total.totals == {0: 8.0}


def sums(left_out: set[str] = tables.NOT_IN_BACKUPS) -> Sums:
    return {m._meta.label: tables.tally(m, "default") for m in tables.but(left_out)}


KILLED = """
import pathlib, signal, sys
from django.core.management import call_command
from metrics.moving import backup, progress, restore
backup.PAGES_AT_ONCE = restore.PAGES_AT_ONCE = 1
reach = progress.Progress.reach
def and_stop(self, done):
    reach(self, done)
    if done >= 3 and self._what.startswith(sys.argv[2]):
        pathlib.Path(sys.argv[1]).touch()
        signal.pause()
progress.Progress.reach = and_stop
call_command(*sys.argv[3:])
"""


def killed(url: str, folder: Path, during: str, *command: object) -> None:
    """Runs a command on the site with this URL and kills it in the middle of a piece of work."""
    there = folder / "in-the-middle"
    program = Program(url, KILLED, there, during, *command).started().go()
    eventually(there.exists)
    os.kill(program.pid, signal.SIGKILL)
    program.finish(-signal.SIGKILL)
    there.unlink()
