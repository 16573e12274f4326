"""CSV files as people have them: which column is what, which time is meant, which line is bad."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from metrics import names
from metrics.models import Batch, Metric, Series
from metrics.moving import csv_layout, times
from tests.moving_support import NOW_MS, refusal, run
from tests.support.samples import stored

pytestmark = pytest.mark.django_db(transaction=True)

Write = Callable[..., Path]
TIME = "2014-07-01 00:00:00"
TIME_MS = 1_404_172_800_000


@pytest.fixture
def write(folder: Path) -> Write:
    def write(text: str | bytes, name: str = "taxi.csv") -> Path:
        path = folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def series() -> dict[str, dict[int, float]]:
    found = Series.objects.select_related("metric")
    return {str(one): stored(one.metric.name, one.labels) for one in found}


def complaints(*arguments: object, **options: Any) -> list[str]:
    """What an import that stores nothing says of the lines."""
    err = io.StringIO()
    with pytest.raises(CommandError, match="nothing was stored"):
        call_command(
            "import", *map(str, arguments), stdout=io.StringIO(), stderr=err, verbosity=0, **options
        )
    assert Batch.objects.count() == 0
    return [line.split(", ", 1)[1] for line in err.getvalue().splitlines() if ", line " in line]


# What cannot be taken


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("yesterday,1", "'yesterday' is not a time: expected such as 2026-11-20 13:00:01"),
        ("1404172800000000000000,1", "is not a time"),
        ("1979-01-01,1", "'1979-01-01' lies before the year 2000"),
        ("2999-01-01,1", "'2999-01-01' lies more than 10 minutes in the future"),
        ("0001-01-01T00:00+14:00,1", "lies before the year 2000"),
        (f"{TIME},abc", "'abc' is not a number"),
        (f"{TIME},inf", "'inf' is not a number"),
        (f"{TIME},1_000", "'1_000' is not a number"),
        (f'{TIME},"1,5"', "'1,5' is not a number (--decimal-comma?)"),
        (f"{TIME}", "has 1 columns: expected 2"),
        (f"{TIME},1,2", "has 3 columns: expected 2"),
        (f'{TIME},"1', "cannot be read as CSV: unexpected end of data"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_stored(write: Write, line: str, reason: str) -> None:
    path = write(f"timestamp,value\n{TIME},1\n\n{line}\n")
    (said,) = complaints(path)
    assert said.startswith("line 4: ")
    assert reason in said


def test_a_line_that_is_no_text_is_bad(write: Write) -> None:
    path = write(b"time,host,value\n2014-07-01,ok,1\n2014-07-01,\xff\xfe,2\n2014-07-02,ok,3\n")
    assert complaints(path) == [
        "line 3: is not text in the expected encoding (see --encoding)",
    ]
    run("import", path, "--encoding", "latin-1")
    assert series()['taxi{host="ÿþ"}'] == {TIME_MS: 2.0}


def test_bad_lines_are_listed_up_to_a_number(write: Write) -> None:
    path = write("time,value\n" + "never,1\n" * 30 + f"{TIME},1\n")
    assert len(complaints(path)) == 20
    assert complaints(path, "--bad-lines", 2) == [
        f"line {number}: 'never' is not a time: expected such as 2026-11-20 13:00:01 or a number "
        "of seconds or ms since 1970 (see --time-format)"
        for number in (2, 3)
    ]
    assert "30 lines cannot be taken" in refusal("import", path)


def test_bad_lines_can_be_left_out(write: Write) -> None:
    path = write(f"time,value\nnever,1\n{TIME},7\n2014-07-02,x\n")
    said = run("import", path, "--skip-bad")
    assert said.endswith(f"Stored 1 samples from {path}; 2 bad lines left out\n")
    assert series() == {"taxi": {TIME_MS: 7.0}}


@pytest.mark.parametrize(
    ("text", "arguments", "reason"),
    [
        ("", [], "is empty"),
        ("only\n1\n", [], "The first line has one column, 'only'"),
        (f"{TIME},1\n", [], "looks like data: say --no-header"),
        ("time,value\n", ["--value", "speed"], "There is no column 'speed': expected one of"),
        ("time,a,a\n", ["--value", "a"], "Two columns are named 'a'"),
        ("time,value\n", ["--metric", "1up"], "'1up' is not a metric name"),
        ("time,value\n", ["--set-label", "a-b=1"], "'a-b' is not a label name"),
        ("time,value\n", ["--set-label", "a"], "expected NAME=VALUE"),
        ("time,metric\n", [], "No column holds values"),
        ("time,value\n", ["--timezone", "Mars"], "'Mars' is not a time zone"),
        ("time,value\n", ["--time-format", "soon"], "'soon' is not a time format"),
        ("time,value\n", ["--encoding", "utf-16"], "The encoding 'utf-16' is not known"),
        ("time,value\n", ["--delimiter", "::"], "expected one character"),
        ("time,value\n", ["--unit", "x" * 30], "at most 20"),
        ("\ufefftime,value\n".encode("utf-16"), [], "UTF-16"),
        (b"\x1f\x8bnot packed", [], "cannot be unpacked"),
        (b"x" * (1 << 20) + b"\n", [], "is longer than"),
    ],
)
def test_a_file_or_choice_that_makes_no_sense_is_a_sentence(
    write: Write, text: str | bytes, arguments: list[str], reason: str
) -> None:
    assert reason in refusal("import", write(text), "--format", "csv", *arguments)
    assert Batch.objects.count() == 0


def test_a_file_that_is_not_there_is_a_sentence(folder: Path) -> None:
    assert "is not a file" in refusal("import", folder / "nothing.csv")


def test_bad_names_in_rows_are_bad_lines(write: Write) -> None:
    path = write(f"time,metric,host,value\n{TIME},a-b,x,1\n{TIME},ok,x\x01,1\n")
    first, second = complaints(path)
    assert "line 2: 'a-b' is not a metric name" in first
    assert "line 3: label 'host': holds the control character U+0001" in second


def test_one_bad_file_keeps_the_others_out_too(write: Write) -> None:
    good = write(f"time,value\n{TIME},1\n", "good.csv")
    bad = write("time,value\nnever,1\n", "bad.csv")
    assert "1 line cannot be taken; nothing was stored" in refusal("import", good, bad)
    assert Batch.objects.count() == 0


def test_a_dry_run_stores_nothing(write: Write) -> None:
    path = write(f"time,value\n{TIME},1\n")
    assert "'time' is the time; 'value' becomes taxi" in run("import", path, "--dry-run")
    assert Batch.objects.count() == 0


# What is meant


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("timestamp,value\nT,1\n", ["--metric", "passengers"], {"passengers": 1.0}),
        ("timestamp,value\nT,1\n", [], {"taxi": 1.0}),  # the file's name
        ("\ufeffTime;kitchen;bath 2\nT;1;-2\n", [], {"kitchen": 1.0, "bath_2": -2.0}),
        ("t\ta\tb\nT\t1\t\n", [], {"a": 1.0}),
        ("x,a,time\n9,1,T\n", ["--value", "a"], {"a": 1.0}),
        ("t,a,b\nT,1,NaN\n", ["--name", "{file}_{column}_celsius"], {"taxi_a_celsius": 1.0}),
        (
            "time,kitchen,bath\nT,1,2\n",
            ["--metric", "celsius", "--column-label", "room"],
            {'celsius{room="kitchen"}': 1.0, 'celsius{room="bath"}': 2.0},
        ),
        ("time,host,value\nT,a,1\nT,b,2\n", [], {'taxi{host="a"}': 1.0, 'taxi{host="b"}': 2.0}),
        (
            "time,metric,host,value\nT,up,a,1\nT,down,,2\n",
            [],
            {'up{host="a"}': 1.0, "down": 2.0},
        ),
        (
            "ts,what,host,zone,v\nT,up,a,eu,1\n",
            ["--metric-column", "what", "--label", "host=instance", "--value", "v"],
            {'up{instance="a"}': 1.0},
        ),
        ("time,metric,value\nT,up,1\n", ["--set-label", "site=b"], {'up{site="b"}': 1.0}),
        ('Time,"up{host=""a""}"\nT,1\n', [], {'up{host="a"}': 1.0}),
        ("T,x,1\n", ["--no-header", "--time", "1", "--label", "2=host", "--value", "3",
                     "--metric", "m"], {'m{host="x"}': 1.0}),
        ("time;value\nT;1,5\n", ["--decimal-comma"], {"taxi": 1.5}),
        ('time,note,value\nT,"two\nlines, ""said""",1\n', ["--value", "value"], {"taxi": 1.0}),
        ("time,host,value\nT,'=a,1\nT,''b,1\n", ["--exported"],
         {'taxi{host="=a"}': 1.0, 'taxi{host="\'b"}': 1.0}),
        ("time,host,value\nT,'=a,1\n", [], {'taxi{host="\'=a"}': 1.0}),
    ],
)  # fmt: skip
def test_columns_become_series(
    write: Write, text: str, arguments: list[str], expected: dict[str, float]
) -> None:
    run("import", write(text.replace("T", TIME).replace(f"{TIME}ime", "Time")), *arguments)
    assert series() == {name: {TIME_MS: value} for name, value in expected.items()}


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("1404172800", []),
        ("1404172800.000", []),
        ("1404172800000", []),
        ("1404172800000000", []),
        ("1404172800000000000", []),
        ("2014-07-01", []),
        ("2014-07-01T00:00Z", []),
        ("2014-07-01T02:00:00+02:00", ["--timezone", "Asia/Tokyo"]),
        ("2014-07-01 02:00:00.0001", ["--timezone", "Europe/Berlin"]),
        ("01.07.2014 00:00", ["--time-format", "%d.%m.%Y %H:%M"]),
        ("01.07.2014 02:00", ["--time-format", "%d.%m.%Y %H:%M", "--timezone", "Europe/Berlin"]),
        ("1404172800", ["--time-format", "s"]),
        ("1404172800000", ["--time-format", "ms"]),
    ],
)
def test_a_time_is_read_in_every_form(write: Write, text: str, arguments: list[str]) -> None:
    run("import", write(f"time,value\n{text},1\n"), *arguments)
    assert series() == {"taxi": {TIME_MS: 1.0}}


@pytest.mark.parametrize(
    ("text", "format", "at_ms"),
    [
        ("1404172800.0005", "s", TIME_MS + 1),
        ("1404172800000499999", "ns", TIME_MS),
        ("1404172800000500000", "ns", TIME_MS + 1),
        ("1404172800123456", "auto", TIME_MS + 123),
    ],
)
def test_times_are_rounded_to_ms(text: str, format: str, at_ms: int) -> None:
    assert times.TimeReader(format, times.zone("UTC"), NOW_MS)(text) == at_ms


def test_a_packed_file_and_standard_input(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    run("import", write(gzip.compress(f"time,value\n{TIME},1\n".encode()), "taxi.csv.gz"))

    class Stdin:
        buffer = io.BytesIO(f"time,piped\n{TIME},2\n".encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    run("import", "-")
    assert series() == {"taxi": {TIME_MS: 1.0}, "piped": {TIME_MS: 2.0}}


def test_kind_unit_and_retention_are_written_down(write: Write) -> None:
    path = write(f"time,value\n{TIME},1\n")
    run("import", path, "--kind", "counter", "--unit", "bytes", "--keep-samples", 0)
    metric = Metric.objects.get()
    assert (metric.kind, metric.unit, metric.keep_raw_days) == ("counter", "bytes", 0)


def test_what_is_left_out_is_said(write: Write) -> None:
    path = write(f"time,a,b,c\n{TIME},1,2,3\n")
    said = run("import", path, "--value", "a", "--value", "c", "--dry-run")
    assert "2 columns become a, ...; left out: b" in said


@pytest.mark.parametrize("text", ["load avg", "9 lives", "", "ü", "{}", "a:b"])
def test_any_text_becomes_a_metric_name(text: str) -> None:
    names.check_metric(csv_layout.metric_name(text))  # raises for one that is none
    assert csv_layout.metric_name(text)
