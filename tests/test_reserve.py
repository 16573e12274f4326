"""Disk full: publishing is refused in time, nothing is lost, and it goes on by itself."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from django.db import connection
from django.db.backends.signals import connection_created
from django.test import Client

from metrics import access, intake, jobs, reserve, sealing
from metrics.clock import now_ms
from metrics.lease import Lease
from metrics.models import Batch, Chunk, Series
from metrics.sealing import KEEP_SEALED_MS
from tests.sealing_support import (
    NOW_MS,
    START_MS,
    Model,
    delete_all,
    line,
    make_series,
    put,
    seal_all,
    seen,
)
from tests.support.samples import NOW_MS as SAMPLES_MS
from tests.support.samples import accept, sample

MIB = 1 << 20
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.sqlite("PostgreSQL's disk may be another machine's, and nobody watches it here"),
]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


class Disk:
    """A disk with as much free as the test says; counts how often it is asked."""

    def __init__(self) -> None:
        self.free = 1 << 40
        self.asked = 0

    def usage(self, _: Any) -> Usage:
        self.asked += 1
        return Usage(1 << 40, (1 << 40) - self.free, self.free)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Disk]:
    settings.RESERVE_BYTES = 64 * MIB
    disk = Disk()
    monkeypatch.setattr(shutil, "disk_usage", disk.usage)
    reserve.forget()
    yield disk
    reserve.forget()


def test_publishing_is_refused_with_507_while_less_than_the_reserve_is_free(disk: Disk) -> None:
    disk.free = 15 * MIB
    with pytest.raises(intake.Refused, match="less than 64 MiB of disk is free") as refused:
        accept(sample())
    assert refused.value.status == 507
    assert Batch.objects.count() == 0
    disk.free = 65 * MIB
    reserve.forget()
    assert accept(sample()).stored == 1


def test_it_goes_on_by_itself_within_a_second_and_says_so(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [1000.0]
    monkeypatch.setattr("metrics.reserve.time.monotonic", lambda: now_s[0])
    disk.free = 0
    for _ in range(3):
        with pytest.raises(intake.Refused):
            reserve.check()
    disk.free = 1 << 40
    now_s[0] += reserve.LOOK_S
    reserve.check()
    reserve.check()
    assert disk.asked == 2
    assert [record.message for record in caplog.records] == [
        "less than 64 MiB is free: publishing is refused",
        "more than 64 MiB is free again: publishing goes on",
    ]


def test_refused_publishers_do_not_fill_the_disk_with_lines_of_the_log(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.free = 15 * MIB
    token = access.make_token("shop")[1]
    for _ in range(3):
        answer = Client(headers={"authorization": f"Bearer {token}"}).post(
            "/api/v1/samples",
            {"samples": [{"metric": "orders", "value": 1}]},
            content_type="application/json",
        )
        assert answer.status_code == 507
        assert answer["Retry-After"]
    assert [record.name for record in caplog.records] == ["metrics.reserve"]


def test_free_pages_in_the_file_count_but_not_for_all(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.free = 17 * MIB
    monkeypatch.setattr(reserve, "_free_in_file", lambda: 46 * MIB)
    assert reserve.is_short()
    monkeypatch.setattr(reserve, "_free_in_file", lambda: 47 * MIB)
    assert not reserve.is_short()
    disk.free = 15 * MIB
    assert reserve.is_short()


def test_free_pages_are_counted_in_bytes(disk: Disk) -> None:
    make_series("gauge")
    put(*line(1, START_MS, 5000))
    Batch.objects.all().delete()
    assert reserve._free_in_file() > 50_000


def test_a_reserve_of_0_is_none(disk: Disk, settings: Any) -> None:
    settings.RESERVE_BYTES = 0
    disk.free = 0
    reserve.check()


@pytest.mark.postgres
def test_on_postgresql_the_disk_is_the_servers(store: str, disk: Disk) -> None:
    disk.free = 0
    assert reserve.is_short() == store.startswith("sqlite")


def test_sealing_and_deleting_go_on_below_the_reserve_but_not_rolling(disk: Disk) -> None:
    disk.free = 0
    put(*line(make_series("gauge")[0], START_MS, 100))
    seal_all()
    delete_all(NOW_MS + KEEP_SEALED_MS + 1)
    lease = Lease()
    assert lease.take()
    assert list(jobs.roll(lease, now_ms())) == []
    disk.free = 1 << 40
    assert list(jobs.roll(lease, now_ms())) == [1]


def test_a_full_disk_stops_sealing_but_neither_loses_nor_keeps_other_jobs_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The database may not grow any further: what the file system says when it is full."""
    accept(sample())
    series = make_series("gauge")[0]
    put(*line(series, START_MS, 90))
    before = seen()
    done: list[int] = []

    def seal(lease: Lease, now: int) -> Iterator[None]:
        yield from sealing.seal(lease, NOW_MS, sealing.Sealed())

    keeper = jobs.Keeper(steps=[jobs.Step("sealing", 0, seal), jobs.once("next", 0, done.append)])
    with full_disk():
        for size in (20_000, 2_000, 200, 20, 1):  # until not a page is left
            with pytest.raises(intake.Refused, match="the disk of the database is full"):
                while True:
                    before |= publish(size)
        keeper.turn(threading.Event())
    assert "sealing has to wait, the database says: database or disk is full" in caplog.text
    assert done
    assert seen() == before
    keeper.turn(threading.Event())
    assert Chunk.objects.count() == 2
    assert seen() == before


def publish(size: int) -> Model:
    accept(*(sample(value=i) for i in range(size)))
    series = Series.objects.get(metric__name="orders").pk
    return {(series, SAMPLES_MS): float(size - 1)}


@contextmanager
def full_disk() -> Iterator[None]:
    """The file may not grow beyond its size of now, on connections that are made again too."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        pages = cursor.fetchone()[0]

    def limit(**_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA max_page_count={pages}")

    limit()
    connection_created.connect(limit)
    yield
    connection_created.disconnect(limit)
    connection.close()
