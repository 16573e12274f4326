"""The collector's loop and its command: refusals and failures first, then when it measures."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import StringIO
from itertools import pairwise
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from metrics.catalog import Description
from metrics.collector import DESCRIPTIONS, Collector, Machine, machine
from metrics.collector.readings import Seldom, gauge
from metrics.collector.schedule import Schedule
from metrics.models import Batch, Metric, Series
from metrics.refused import Refused
from metrics.samples import Sample
from tests.support.environment import ROOT
from tests.support.product import COMMAND_S, Product
from tests.support.store import rows
from tests.support.waiting import aeventually, eventually

NOON_MS = 1_790_000_000_000


class Day:
    """A clock that only moves when somebody waits or works; also the event that stops."""

    def __init__(self, now_ms: int, waits: int) -> None:
        self.now_ms = now_ms
        self._waits = waits

    def wait(self, timeout_s: float, /) -> bool:
        self._waits -= 1
        self.now_ms += round(timeout_s * 1000)
        return self._waits < 0


def collected(day: Day, work: Callable[[Day, int], None] = lambda day, time_ms: None) -> list[int]:
    """The sample times of a collector that lives through `day`."""
    times: list[int] = []

    def measure(time_ms: int) -> Sequence[Sample]:
        times.append(time_ms)
        work(day, time_ms)
        return []

    collector_of(measure, clock_ms=lambda: day.now_ms).run_alone(day)
    return times


def collector_of(measure: Callable[[int], Sequence[Sample]], **options: Any) -> Collector:
    options = {"record": lambda samples: None, "describe": lambda said: None, **options}
    return Collector(measure, {}, **options)


# --- refusals and failures -------------------------------------------------------------------


@pytest.mark.parametrize("interval", ["0", "-1", "soon", "nan", "3601"])
def test_an_interval_that_makes_no_sense_is_refused(interval: str) -> None:
    with pytest.raises(CommandError, match=r"expected seconds from 0\.1 to 3600"):
        call_command("collect", f"--interval={interval}", "--once")


def test_a_schedule_without_an_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="interval_ms is 0"):
        Schedule(0)


def test_a_missing_sensor_is_logged_once_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(now_ms: int) -> Iterable[Sample]:
        raise PermissionError("not yours")

    measure = Machine(parts={"temperatures": broken, "load": machine.load})
    for second in range(3):
        names = [sample.metric for sample in measure(NOON_MS + second * 1000)]
        assert names == ["node_load1", "node_load5", "node_load15"]
    assert [record.getMessage() for record in caplog.records] == [
        "The collector cannot measure temperatures here and leaves them out: "
        "PermissionError: not yours"
    ]


@pytest.mark.parametrize(
    "error", [OperationalError("database is locked"), Refused(503, "", "the disk is full")]
)
def test_a_failing_store_is_told_once_and_retried_until_it_works(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    stored: list[int] = []
    answers = iter([error, error, None, None])

    def record(samples: Sequence[Sample]) -> None:
        if answer := next(answers):
            raise answer
        stored.append(len(samples))

    day = Day(NOON_MS, waits=4)
    one = [gauge("node_load1", 1, NOON_MS)]
    collector = collector_of(lambda time_ms: one, record=record, clock_ms=lambda: day.now_ms)
    collector.run_alone(day)
    assert stored == [1, 1]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "cannot publish and goes on trying" in told[0]
    assert str(error) in told[0]
    assert told[1] == "The collector publishes again."


def test_a_bug_in_a_measurement_does_not_end_the_collector(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stumble(day: Day, time_ms: int) -> None:
        if time_ms == NOON_MS + 1000:
            raise ZeroDivisionError

    assert len(collected(Day(NOON_MS, waits=3), stumble)) == 3
    assert "it tries again next time" in caplog.text


# --- when ------------------------------------------------------------------------------------


def test_samples_are_taken_at_whole_seconds() -> None:
    times = collected(Day(NOON_MS + 437, waits=3))
    assert times == [NOON_MS + 1000, NOON_MS + 2000, NOON_MS + 3000]


def test_missed_seconds_are_skipped_and_not_made_up_for() -> None:
    def slow_at_first(day: Day, time_ms: int) -> None:
        day.now_ms += 3400 if time_ms == NOON_MS + 1000 else 5

    times = collected(Day(NOON_MS, waits=3), slow_at_first)
    assert times == [NOON_MS + 1000, NOON_MS + 5000, NOON_MS + 6000]


def test_a_timer_that_fires_early_does_not_measure_a_second_twice() -> None:
    schedule = Schedule(1000)
    due_ms = schedule.next_ms(NOON_MS + 10)
    assert schedule.stamp(due_ms, due_ms - 1) == NOON_MS + 1000
    assert schedule.next_ms(due_ms - 1) == NOON_MS + 2000
    assert schedule.wait_s(due_ms - 1) == pytest.approx(1.001)


def test_a_machine_that_slept_gives_the_sample_the_time_it_woke_at() -> None:
    schedule = Schedule(1000)
    due_ms = schedule.next_ms(NOON_MS)
    assert schedule.stamp(due_ms, due_ms + 3_600_250) == due_ms + 3_600_000


def test_a_clock_that_is_set_back_an_hour_is_followed() -> None:
    schedule = Schedule(1000)
    schedule.stamp(NOON_MS, NOON_MS)
    assert schedule.next_ms(NOON_MS - 3_600_000 + 300) == NOON_MS - 3_600_000 + 1000


def test_a_slow_subject_is_measured_seldom_even_when_the_clock_is_set_back() -> None:
    asked: list[int] = []

    def part(now_ms: int) -> list[Sample]:
        asked.append(now_ms)
        return []

    seldom = Seldom(part, 10_000)
    for now_ms in (0, 1000, 9000, 10_000, 11_000, 1000):
        seldom(now_ms + NOON_MS)
    assert asked == [NOON_MS, NOON_MS + 10_000]
    seldom(NOON_MS - 3_600_000)
    assert asked[-1] == NOON_MS - 3_600_000


async def test_the_event_loop_is_not_blocked_and_stop_ends_the_collector() -> None:
    in_thread: list[str] = []
    release, stop = threading.Event(), asyncio.Event()

    def measure(time_ms: int) -> Sequence[Sample]:
        in_thread.append(threading.current_thread().name)
        assert release.wait(10)
        return []

    task = asyncio.create_task(collector_of(measure, interval_ms=20).run(stop))
    await aeventually(lambda: in_thread)  # the loop runs while the measurement hangs
    assert in_thread[0].startswith("collector")
    stop.set()
    release.set()
    await asyncio.wait_for(task, 60)


# --- published -------------------------------------------------------------------------------


def test_only_what_this_machine_has_is_described_and_only_once() -> None:
    said: list[Mapping[str, Description]] = []
    one = [gauge("node_load1", 1, NOON_MS)]
    collector = Collector(
        lambda time_ms: one, DESCRIPTIONS, record=lambda samples: None, describe=said.append
    )
    collector.collect(NOON_MS)
    collector.collect(NOON_MS + 1000)
    assert said == [{"node_load1": DESCRIPTIONS["node_load1"]}]


@pytest.mark.django_db
def test_collect_once_stores_this_machine_with_kinds_and_units() -> None:
    output = StringIO()
    call_command("collect", "--once", stdout=output)
    (batch,) = Batch.objects.all()
    assert output.getvalue() == f"Published {batch.count} samples.\n"
    cpu_seconds = Metric.objects.get(name="node_cpu_seconds_total")
    assert (cpu_seconds.kind, cpu_seconds.unit) == ("counter", "seconds")
    assert Series.objects.filter(metric=cpu_seconds, labels={"cpu": "0", "mode": "idle"}).exists()


def command(product: Product, *arguments: str) -> subprocess.Popen[str]:
    """A management command as a process of its own, which may fail or be interrupted."""
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=product.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_database_without_tables_is_told_in_a_sentence(
    new_server: Callable[..., Product],
) -> None:
    process = command(new_server(start=False), "collect")
    _, complaint = process.communicate(timeout=COMMAND_S)
    assert process.returncode == 1
    assert complaint == (
        "CommandError: The database is not migrated: run python manage.py migrate first.\n"
    )


def test_collect_runs_alone_until_ctrl_c(new_server: Callable[..., Product]) -> None:
    product = new_server(start=False)
    product.manage("migrate", "--verbosity=0")
    process = command(product, "collect", "--interval=0.1")
    assert process.stdout is not None
    assert process.stdout.readline() == "Measuring this machine every 0.1 s. Ctrl-C stops.\n"

    def stored_times() -> list[int]:
        found = rows(product.database_url, "SELECT end_ms FROM metrics_batch ORDER BY id")
        return [end_ms for (end_ms,) in found]

    eventually(lambda: len(stored_times()) >= 3)
    process.send_signal(signal.SIGINT)
    said, complaint = process.communicate(timeout=COMMAND_S)
    assert (process.returncode, said, complaint) == (0, "Stopped.\n", "")
    times = stored_times()
    assert all(time_ms % 100 == 0 for time_ms in times)
    assert all(later > earlier for earlier, later in pairwise(times))
