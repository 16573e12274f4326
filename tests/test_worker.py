"""The keeper and `manage.py worker`: jobs are done, by one process, and nobody waits for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import DatabaseError

from dashboard.background import Roles, background
from metrics import jobs
from metrics.clock import now_ms
from metrics.jobs import OWN_RECEIPT_MS, RECEIPT_MS, Keeper, Step
from metrics.lease import TTL_MS, Lease
from metrics.models import Batch, Chunk, Receipt
from metrics.models import Lease as Row
from tests.conftest import NewServer
from tests.sealing_support import NOW_MS, WINDOW, fill, in_chunks, make_series, model_of, put, seen
from tests.support.environment import ROOT
from tests.support.waiting import aeventually, eventually

STOP_S = 20.0
KILLS = 3
SERIES = 600
LATELY_MS = (now_ms() // WINDOW - 24) * WINDOW  # two days ago: over, and not expired

Work = Callable[[Lease, int], Iterator[object]]


class Worker:
    """`manage.py worker --no-collect` on the database with this URL."""

    def __init__(self, url: str, folder: Path, name: str = "worker") -> None:
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "worker", "--no-collect"],
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": url, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def says(self, sentence: str) -> Worker:
        eventually(lambda: sentence in self.output, 60, f"{sentence!r} in {self.output!r}")
        return self

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(STOP_S)


@pytest.fixture
def new_worker(store: str, folder: Path) -> Iterator[Callable[[], Worker]]:
    workers: list[Worker] = []

    def make() -> Worker:
        workers.append(Worker(store, folder, f"worker-{len(workers)}"))
        return workers[-1]

    yield make
    for worker in workers:
        worker.process.kill()
        worker.process.wait()


NewWorker = Callable[[], Worker]


def holder() -> str:
    return Row.objects.values_list("holder", flat=True).first() or ""


def a_turn(*steps: Step) -> float:
    """One turn of a keeper with these steps; how long it may rest then."""
    return Keeper(list(steps), Lease()).turn(threading.Event())


def raising(error: Exception) -> Work:
    def work(lease: Lease, now: int) -> Iterator[object]:
        raise error
        yield None

    return work


@pytest.mark.parametrize("error", [ValueError("broken"), DatabaseError("disk is full")])
@pytest.mark.django_db(transaction=True)
def test_a_job_that_fails_is_logged_and_keeps_no_other_from_being_done(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []
    a_turn(Step("first", 1, raising(error)), jobs.once("second", 1, done.append))
    assert len(done) == 1
    assert "first" in caplog.text
    assert str(error) in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_job_that_goes_on_failing_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    keeper = Keeper([Step("first", 0, raising(DatabaseError("disk is full")))])
    for _ in range(3):
        keeper.turn(threading.Event())
    assert caplog.text.count("disk is full") == 1


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_gone_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lease = Lease()
    keeper = Keeper([], lease)
    with monkeypatch.context() as patch:
        patch.setattr(lease, "take", lambda: next(raising(DatabaseError("gone"))(lease, 0)))
        assert keeper.turn(threading.Event()) == jobs.AFTER_ERROR_S
    assert "gone" in caplog.text
    keeper.turn(threading.Event())
    assert holder()


@pytest.mark.django_db(transaction=True)
def test_the_keeper_does_nothing_while_another_has_the_lease() -> None:
    other = Lease()
    assert other.take()
    done: list[int] = []
    heard: list[bool] = []
    keeper = Keeper([jobs.once("job", 1, done.append)], Lease(), heard.append)
    for _ in range(2):
        assert keeper.turn(threading.Event()) == jobs.LOOK_S
    other.release()
    keeper.turn(threading.Event())
    assert (len(done), heard) == (1, [False, True])


@pytest.mark.django_db(transaction=True)
def test_a_keeper_that_loses_the_lease_amid_its_work_stops_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pieces: list[int] = []

    def work(lease: Lease, now: int) -> Iterator[object]:
        for piece in range(5):
            lease.renew()
            pieces.append(piece)
            if piece == 1:
                later = Lease(clock_ms=lambda: now_ms() + TTL_MS + 60_000)
                assert later.take()
            yield None

    assert a_turn(Step("job", 1, work)) == jobs.LOOK_S
    assert pieces == [0, 1]
    assert "another process has taken the lease" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_long_job_ends_at_the_next_piece_when_the_process_stops() -> None:
    stop = threading.Event()
    pieces: list[int] = []

    def work(lease: Lease, now: int) -> Iterator[object]:
        for piece in range(1000):
            pieces.append(piece)
            stop.set()
            yield None

    Keeper([Step("job", 1, work)], Lease()).run(stop)
    assert pieces == [0]
    assert holder() == ""


@pytest.mark.django_db(transaction=True)
def test_a_job_that_found_something_to_do_looks_again_at_once() -> None:
    left = [2]

    def work(lease: Lease, now: int) -> Iterator[object]:
        if left[0]:
            left[0] -= 1
            yield None

    keeper = Keeper([Step("job", 100, work)], Lease())
    assert [keeper.turn(threading.Event()) for _ in range(3)] == [0.0, 0.0, jobs.LOOK_S]


@pytest.mark.django_db(transaction=True)
def test_old_idempotency_keys_are_forgotten() -> None:
    def receipt(key: str, scope: str, age_ms: int) -> None:
        Receipt.objects.create(
            scope=scope, key=key, body_hash=b"", stored=1, created_at_ms=NOW_MS - age_ms
        )

    receipt("old", "source:1", RECEIPT_MS + 1)
    receipt("young", "source:1", RECEIPT_MS)
    receipt("our old", "local", OWN_RECEIPT_MS + 1)
    receipt("our young", "local", OWN_RECEIPT_MS)
    jobs.forget_receipts(NOW_MS)
    assert set(Receipt.objects.values_list("key", flat=True)) == {"young", "our young"}


@pytest.mark.django_db(transaction=True)
def test_the_whole_way_from_the_log_to_rollups_by_the_list_of_jobs() -> None:
    series = make_series("counter")[0]
    samples = [(series, LATELY_MS + 1000 * i, float(i)) for i in range(1, 100)]
    assert put(*samples, received_ms=LATELY_MS)
    a_turn(*jobs.STEPS)
    assert in_chunks() == seen() == model_of(*samples)
    assert set(Chunk.objects.values_list("resolution_ms", flat=True)) == {
        0,
        10_000,
        60_000,
        3_600_000,
    }
    assert Batch.objects.get().sealed_at_ms


@pytest.mark.parametrize("does_jobs", [True, False])
@pytest.mark.django_db(transaction=True)
async def test_the_site_does_the_jobs_unless_told_otherwise(does_jobs: bool) -> None:
    async def somebody_works() -> bool:
        return await Row.objects.exclude(holder="").aexists()

    async with background(Roles(jobs=does_jobs, collect=False)):
        if does_jobs:
            await aeventually(somebody_works)
    assert not await somebody_works()
    assert await Row.objects.aexists() == does_jobs


def test_the_server_and_a_worker_beside_it_take_turns(new_server: NewServer) -> None:
    server = new_server()
    worker = Worker(server.database_url, server.folder)
    try:
        worker.says("Another process does the jobs; this one is ready to take over.")
        server.terminate()
        worker.says("This process does the jobs.")
    finally:
        worker.end()


def test_the_help_teaches(new_server: NewServer) -> None:
    text = new_server(start=False).manage("worker", "--help")
    assert "python manage.py worker --no-collect  the jobs only" in text
    assert "Killing one loses nothing." in text


def test_a_database_without_tables_is_named(new_server: NewServer) -> None:
    done = new_server(start=False).run("worker")
    assert done.returncode == 1
    assert "run python manage.py migrate first" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_stopped_hands_over_at_once(
    new_worker: NewWorker, how: signal.Signals
) -> None:
    first = new_worker().says("This process does the jobs.")
    assert f":{first.process.pid}:" in holder()
    second = new_worker().says("Another process does the jobs")
    assert first.end(how) == 0
    assert first.output.endswith("Stopped.\n")
    second.says("This process does the jobs.")
    assert second.end() == 0
    assert holder() == ""


@pytest.mark.slow
def test_a_worker_that_is_killed_again_and_again_loses_and_doubles_nothing(
    new_worker: NewWorker,
) -> None:
    ids = make_series(*["gauge"] * SERIES)
    model = fill(ids, LATELY_MS)
    for _ in range(KILLS):
        already = Chunk.objects.count()
        worker = new_worker()
        eventually(lambda already=already: Chunk.objects.count() > already + 100, 60)  # type: ignore[misc]
        worker.end(signal.SIGKILL)
        assert seen() == model
        Row.objects.update(expires_at_ms=0)  # as 20 s do
    new_worker()
    eventually(lambda: not Batch.objects.filter(sealed_at_ms=None).exists(), 60)
    eventually(lambda: not Chunk.objects.filter(resolution_ms=0, rolled=False).exists(), 60)
    assert in_chunks() == model
