"""manage.py import: nothing lost, nothing twice, whatever happens on the way; OpenMetrics too."""

from __future__ import annotations

import csv
import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from metrics import catalog, intake
from metrics.models import Batch, Metric, Receipt, Series
from metrics.moving import importing
from metrics.refused import Refused
from metrics.samples import Accepted, Sample
from tests.moving_support import log_samples, refusal, run
from tests.support.environment import SHARED
from tests.support.samples import samples_in_log, stored
from tests.support.store import Program
from tests.support.waiting import eventually

NAB = SHARED / "data" / "nab"
START_S = 1_700_000_000
KILLS = 3
IMPORT = """
import sys
from django.core.management import call_command
from metrics.moving import importing
importing.BLOCK_SAMPLES = 50
call_command("import", sys.argv[1], "--skip-bad", verbosity=0)
"""


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BLOCK_SAMPLES", 10)


@pytest.fixture
def table(store: str, folder: Path) -> Path:
    """Two series of 2,500 samples each."""
    return write(folder / "table.csv", 2500)


def write(path: Path, rows: int, factor: float = 1.0) -> Path:
    lines = [f"{START_S + row},{row * factor},{-row * factor}\n" for row in range(rows)]
    path.write_text("time,up,down\n" + "".join(lines))
    return path


def assert_whole(rows: int, factor: float = 1.0) -> None:
    expected = {(START_S + row) * 1000: row * factor for row in range(rows)}
    assert stored("up") == expected
    assert stored("down") == {at_ms: -value for at_ms, value in expected.items()}


# Interrupted


@pytest.mark.slow
def test_an_import_that_is_killed_goes_on_and_counts_once(store: str, folder: Path) -> None:
    table = write(folder / "table.csv", 10_000)

    def began(before: int) -> bool:
        return Batch.objects.count() >= before + 3

    for _ in range(KILLS):
        before = Batch.objects.count()
        program = Program(store, IMPORT, table).started().go()
        eventually(lambda before=before: began(before))  # type: ignore[misc]
        os.kill(program.pid, signal.SIGKILL)
        program.finish(-signal.SIGKILL)
        assert samples_in_log() == len(stored("up")) + len(stored("down"))  # nothing twice
        assert samples_in_log() < 20_000, "the kill came too late to mean anything"
    Program(store, IMPORT, table).started().go().finish()
    assert_whole(10_000)
    assert samples_in_log() == 20_000


def test_a_refusal_in_the_middle_is_told_and_the_rest_follows(
    table: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = intake.accept

    def full(samples: list[Sample], **options: Any) -> Accepted:
        if len(stored("up")) >= 50:
            raise Refused(507, "samples[3].value", "the disk of the database is full")
        return accept(samples, **options)

    with monkeypatch.context() as broken:
        broken.setattr(intake, "accept", full)
        sentence = refusal("import", table)
    assert "Line 53: value: the disk of the database is full. 100 samples before" in sentence
    said = run("import", table)
    assert "; 100 were stored by an earlier import" in said
    assert_whole(2500)
    assert log_samples() == 5000


def test_a_busy_database_is_waited_for(
    table: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = intake.accept
    refusals = [Refused(503, "", "locked")] * 3

    def busy(samples: list[Sample], **options: Any) -> Accepted:
        if refusals:
            raise refusals.pop()
        return accept(samples, **options)

    monkeypatch.setattr(intake, "accept", busy)
    monkeypatch.setattr(importing, "PAUSE_S", 0.0)
    run("import", table)
    assert not refusals
    assert_whole(2500)


def test_the_same_file_again_changes_nothing(table: Path) -> None:
    run("import", table)
    batches = Batch.objects.count()
    assert "Stored 0 samples" in run("import", table)
    assert Batch.objects.count() == batches
    assert Receipt.objects.filter(scope="import").count() == batches


def test_a_file_that_grew_or_was_corrected_is_stored_where_it_differs(
    table: Path, small_blocks: None
) -> None:
    run("import", table)
    assert "Stored 20 samples" in run("import", write(table, 2510))
    assert_whole(2510)
    run("import", write(table, 2510, factor=2.0))
    assert_whole(2510, factor=2.0)


def test_what_was_deleted_can_be_imported_again(table: Path) -> None:
    run("import", table)
    Metric.objects.all().delete()
    Batch.objects.all().delete()
    catalog.forget()
    assert "Stored 5,000 samples" in run("import", table)
    assert_whole(2500)


def test_again_stores_all_of_it_once_more(table: Path) -> None:
    run("import", table)
    assert "Stored 5,000 samples" in run("import", table, "--again")
    assert_whole(2500)  # samples are a set


def test_too_many_series_name_the_line(store: str, folder: Path, settings: Any) -> None:
    settings.SERIES_PER_METRIC = 2
    path = folder / "many.csv"
    path.write_text("time,host,value\n" + "".join(f"{START_S},h{n},1\n" for n in range(4)))
    assert "Line 2: labels: many would have 4 series" in refusal("import", path)
    assert Batch.objects.count() == 0
    assert Series.objects.count() == 0


def test_what_retention_will_thin_out_is_said_and_can_be_kept(table: Path) -> None:
    def said(*arguments: str) -> str:
        err = io.StringIO()
        options = {"stdout": io.StringIO(), "stderr": err, "verbosity": 0}
        call_command("import", str(table), *arguments, **options)
        return err.getvalue()

    assert "older than 14 days are soon kept as rollups only" in said()
    assert said("--keep-samples", "0") == ""
    assert set(Metric.objects.values_list("keep_raw_days", flat=True)) == {0}


# The NAB files


@pytest.mark.shared
@pytest.mark.skipif(not NAB.is_dir(), reason=f"the NAB files are not at {NAB}")
@pytest.mark.parametrize("name", ["nyc_taxi", "machine_temperature_system_failure", "speed_7578"])
def test_a_file_of_the_nab_is_imported_whole(store: str, name: str) -> None:
    path = NAB / f"{name}.csv"
    run("import", path, "--metric", "measured")
    with path.open() as file:
        expected = {row["timestamp"]: float(row["value"]) for row in csv.DictReader(file)}
    found = stored("measured")
    assert len(found) == len(expected)
    assert sorted(found.values()) == sorted(expected.values())
    assert list(found) == sorted(found)


# OpenMetrics and Prometheus's text


OPENMETRICS = """\
# TYPE http_requests counter
# UNIT http_requests requests
# HELP http_requests How many there were.
http_requests_total{code="200",path="/a # b}"} 5 1700000000.5 # {trace="x}"} 1 1700000000
http_requests_total{code="200",path="/a # b}"} 7 1700000010
http_requests_created{code="200",path="/a # b}"} 1699999999 1700000010
# TYPE temperature gauge
temperature{room="say \\"hi\\", \\\\"} -1.5e1 1700000000
temperature 3 1700000000000
temperature NaN 1700000001
# TYPE wait histogram
wait_bucket{le="+Inf"} 3 1700000000
wait_sum 2.5 1700000000
# EOF
nonsense after the end
"""


def test_openmetrics_text_becomes_series(store: str, folder: Path) -> None:
    path = folder / "dump.om"
    path.write_text(OPENMETRICS)
    assert "OpenMetrics text" in run("import", path)
    assert stored("http_requests_total", {"code": "200", "path": "/a # b}"}) == {
        1_700_000_000_500: 5.0,
        1_700_000_010_000: 7.0,
    }
    assert stored("temperature", {"room": 'say "hi", \\'}) == {1_700_000_000_000: -15.0}
    assert stored("temperature") == {1_700_000_000_000: 3.0}
    assert stored("wait_bucket", {"le": "+Inf"}) == {1_700_000_000_000: 3.0}
    kinds = dict(Metric.objects.values_list("name", "kind"))
    assert kinds == {
        "http_requests_total": "counter",
        "temperature": "gauge",
        "wait_bucket": "counter",
        "wait_sum": "counter",
    }
    counted = Metric.objects.get(name="http_requests_total")
    assert (counted.unit, counted.help) == ("requests", "How many there were.")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("up 1", "has no time"),
        ("up", "expected a value and a time"),
        ("up one 1700000000", "'one' is not a number"),
        ("up +Inf 1700000000", "expected a finite number"),
        ("up 1 170000", "lies before the year 2000"),
        ("up 1 soon", "'soon' is not a time"),
        ('up{a="1",a="2"} 1 1700000000', "the label a is given twice"),
        ("up{a=1} 1 1700000000", "is not a label"),
        ('up{a="1" 1 1700000000', "is not a label"),
        ('up{a="\\n"} 1 1700000000', "label 'a': holds the control character"),
        ('{"my.metric"} 1 1700000000', "names in quotes are not supported"),
        ('up{__a="1"} 1 1700000000', "names beginning with __ are reserved"),
        ("9up 1 1700000000", "does not begin with a metric's name"),
    ],
)
def test_a_bad_line_of_openmetrics_is_named(
    store: str, folder: Path, line: str, reason: str
) -> None:
    path = folder / "dump.prom"
    path.write_text(f"# HELP up Whether.\nup 1 1700000000\n{line}\n")
    err = io.StringIO()
    with pytest.raises(CommandError, match="1 line cannot be taken"):
        call_command("import", str(path), stdout=io.StringIO(), stderr=err, verbosity=0)
    assert "line 3: " in err.getvalue()
    assert reason in err.getvalue()
    assert Batch.objects.count() == 0


def test_old_samples_may_be_imported(store: str, folder: Path) -> None:
    """However old: what publishers may send late has nothing to do with it."""
    path = folder / "old.csv"
    path.write_text("time,value\n2001-01-01,1\n")
    run("import", path)
    assert stored("old") == {978_307_200_000: 1.0}
