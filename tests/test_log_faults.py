"""What the log tells publishers when the database fails, and what it does not take along."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.db.backends.sqlite3.base import SQLiteCursorWrapper as DjangoCursor

from metrics import commit, intake, log, refused, writer
from metrics.columns import Columns
from metrics.models import Event
from metrics.refused import Refused
from metrics.samples import Accepted
from metrics.sqlite3 import base
from tests.support.samples import (
    NOW_MS,
    accept,
    entry,
    in_threads,
    known_series,
    sample,
    samples_in_log,
    stored,
)
from tests.support.store import Program, log_held
from tests.support.waiting import eventually

only_sqlite = pytest.mark.parametrize(
    "store", [pytest.param("sqlite", marks=pytest.mark.django_db(transaction=True))], indirect=True
)
only_postgres = pytest.mark.parametrize(
    "store", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


@pytest.fixture
def running(store: str) -> Iterator[writer.Writer]:
    yield writer.start()
    writer.stop()


@only_sqlite
def test_a_locked_database_is_told_as_503_and_the_next_try_works(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(sample())
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.02)
    with log_held(store), pytest.raises(Refused, match="locked by another program") as refusal:
        accept(sample("new"), now_ms=NOW_MS + 1)
    assert refusal.value.status == 503
    assert accept(sample(), now_ms=NOW_MS + 2).stored == 1
    assert samples_in_log() == 2


@only_sqlite
def test_a_publisher_comes_in_as_soon_as_the_database_is_free(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks every millisecond, however long it has waited, and so between any two jobs."""
    accept(sample())
    waits_s: list[float] = []
    with ExitStack() as held:
        held.enter_context(log_held(store))

        def wait(seconds: float) -> None:
            waits_s.append(seconds)
            if len(waits_s) == 300:
                held.close()

        monkeypatch.setattr(base, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=wait))
        assert accept(sample(), now_ms=NOW_MS + 1).stored == 1
    assert waits_s == [0.001] * 300
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (10_000,), "for other statements"


@only_sqlite
def test_it_waits_too_while_another_program_repairs_the_database(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first to open it after a crash does; that is another code for being busy."""
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY_RECOVERY
    tries = iter([busy, busy])
    execute = DjangoCursor.execute

    def try_to_begin(cursor: base.Cursor, query: str, params: Any = None) -> Any:
        if query.startswith("BEGIN") and (error := next(tries, None)) is not None:
            raise error
        return execute(cursor, query, params)

    monkeypatch.setattr(DjangoCursor, "execute", try_to_begin)
    assert accept(sample()).stored == 1
    assert next(tries, None) is None


@only_sqlite
def test_a_row_that_is_written_by_itself_comes_in_between_two_jobs_too(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody signs in while the jobs are busy: no transaction of ours is around that."""
    waits_s: list[float] = []
    user = User.objects.create_user("analyst")
    with ExitStack() as held:
        held.enter_context(log_held(store))

        def wait(seconds: float) -> None:
            waits_s.append(seconds)
            if len(waits_s) % 100 == 0:
                held.close()

        monkeypatch.setattr(base, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=wait))
        assert User.objects.filter(pk=user.pk).update(first_name="Live") == 1
        held.enter_context(log_held(store))
        assert Event.objects.create(time_ms=NOW_MS, title="signed in").pk
        held.enter_context(log_held(store))
        assert User.objects.filter(pk=user.pk).delete()[0] == 1
    assert waits_s == [0.001] * 300


@only_sqlite
def test_a_full_disk_is_told_as_507_and_what_was_stored_stays(store: str) -> None:
    accept(sample())
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # no room is left from earlier
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages}")
        big = [sample("big", float(n), n=str(n)) for n in range(2000)]
        with pytest.raises(Refused, match="the disk of the database is full") as refusal:
            accept(*big)
    assert refusal.value.status == 507
    assert samples_in_log() == 1
    connection.close()  # the limit was that connection's
    assert accept(*big).stored == 2000


def test_a_failure_that_goes_on_is_logged_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [1000.0]
    monkeypatch.setattr("metrics.refused.time.monotonic", lambda: now_s[0])
    for sentence in ("lost", "lost", "locked", "lost"):
        refused.by_database(OperationalError(sentence))
    now_s[0] += refused.SAID_AGAIN_S
    refused.by_database(OperationalError("lost"))
    said = [record.getMessage().rpartition(" ")[2] for record in caplog.records]
    assert said == ["lost", "locked", "lost", "lost"]


FILL_THE_DISK = """
from django.conf import settings
from django.core.management import call_command
from metrics import log, writer
from metrics.refused import Refused
from tests.support.samples import NOW_MS, accept, sample, samples_in_log
call_command("migrate", verbosity=0)
settings.RESERVE_BYTES = 0  # the reserve would say no before the disk does
writer.start()
stored, refused = 0, None
wide = [sample("x", float(n), n=str(n)) for n in range(500)]
while refused is None:
    try:
        stored += accept(*wide, now_ms=NOW_MS + stored).stored
    except Refused as error:
        refused = error
assert samples_in_log() == stored, (samples_in_log(), stored)
print(refused.status, str(refused))
print("full", flush=True)
input()  # until there is room
stored += accept(*wide, now_ms=NOW_MS + stored).stored
assert samples_in_log() == stored
"""


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 3 MiB; only root may make one."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small file system cannot be mounted here: {error}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_truly_full_disk_loses_nothing_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    program = Program(f"sqlite://{small_disk}/db.sqlite3", FILL_THE_DISK).started().go()
    assert program.line().startswith("507 the disk of the database is full")
    assert program.line() == "full\n"
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    program.go().finish()


@only_postgres
def test_a_lost_connection_is_told_as_503_and_the_next_try_works(
    store: str, running: writer.Writer
) -> None:
    accept(sample())
    with psycopg.connect(store, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(Refused, match="does not answer: try again") as refusal:
        accept(sample(), now_ms=NOW_MS + 1)
    assert refusal.value.status == 503
    assert accept(sample(), now_ms=NOW_MS + 2).stored == 1
    connection.close_if_unusable_or_obsolete()


@only_postgres
def test_a_thread_beside_the_loop_finds_a_new_connection(store: str) -> None:
    async def publish() -> None:
        await intake.aaccept([sample()], now_ms=NOW_MS)
        with psycopg.connect(store, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await intake.aaccept([sample()], now_ms=NOW_MS + 1)

    asyncio.run(publish())
    connection.close()
    assert samples_in_log() == 2


def test_one_bad_entry_does_not_spoil_its_group(store: str) -> None:
    series = known_series()
    nowhere = log.Entry(Columns.of((), (), ()), [log.Increment(0, 10_000_000, 1.0, None)], NOW_MS)
    impossible = entry(1 << 33)
    outcomes = commit.write_or_refuse([entry(series, 2.0), nowhere, impossible, entry(series, 3.0)])
    assert [type(one) for one in outcomes] == [Accepted, Refused, OverflowError, Accepted]
    assert isinstance(outcomes[1], Refused)
    assert outcomes[1].status == 409
    assert stored("known") == {NOW_MS: 3.0}


def test_a_fault_inside_the_writer_reaches_who_waits_and_it_goes_on(
    running: writer.Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = known_series()
    with monkeypatch.context() as broken:
        broken.setattr(commit, "write_or_refuse", lambda entries: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            log.append(entry(series))
    assert log.append(entry(series)).stored == 1


def test_too_many_waiting_samples_are_sent_back(
    store: str, running: writer.Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = known_series()
    monkeypatch.setattr(writer, "WAITING_SAMPLES", 8)
    with log_held(store):
        waiting = in_threads(lambda: log.append(entry(series)), 4)  # each weighs 2
        eventually(lambda: running._waiting == 8)
        with pytest.raises(Refused, match="too many samples wait for the disk") as refusal:
            log.append(entry(series))
    assert refusal.value.status == 503
    assert [future.result(20).stored for future in waiting] == [1] * 4
    monkeypatch.setattr(writer, "WAITING_SAMPLES", 0)
    assert log.append(entry(series)).stored == 1, "what is large alone is not refused for ever"


def test_a_stopped_writer_stores_what_waits_and_takes_nothing_more(store: str) -> None:
    series = known_series()
    stopping = writer.start()
    with log_held(store):
        waiting = in_threads(lambda: log.append(entry(series)), 5)
        eventually(lambda: stopping._waiting == 10)
        stop = threading.Thread(target=writer.stop)
        stop.start()
        eventually(lambda: writer.current() is None)
        eventually(lambda: not stopping._open)
        with pytest.raises(Refused, match="the server is stopping"):
            stopping.submit(entry(series))
    stop.join()
    assert [future.result(20).stored for future in waiting] == [1] * 5
    assert log.append(entry(series)).stored == 1, "without a writer everybody commits"
