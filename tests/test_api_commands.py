"""manage.py publish and manage.py token, as people and scripts use them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from metrics import access, catalog, intake, reader
from metrics.clock import now_ms
from metrics.models import Batch, Metric, Series, Source
from tests.conftest import NewServer

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_remembered(db: None) -> Iterator[None]:
    catalog.forget()
    access.forget()
    yield
    catalog.forget()
    access.forget()
    access.last_used.flush()


def run(command: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


def refusal(*arguments: str, command: str = "publish") -> str:
    with pytest.raises(CommandError) as caught:
        run(command, *arguments)
    sentence = str(caught.value)
    assert sentence.isprintable()
    assert Batch.objects.count() == 0
    return sentence


def newest(metric: str) -> dict[str, float]:
    rows = Series.objects.filter(metric__name=metric)
    values = reader.last([row.pk for row in rows])
    return {str(row): values[row.pk][1] for row in rows}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Expected a metric and a value"),
        (["up"], "Expected a metric and a value"),
        (["up", "much"], "'much' is not a number"),
        (["up", "nan"], "finite"),
        (["up", "1e999"], "finite"),
        (["1up", "1"], "'1up' is not a metric name"),
        (["up", "1", "--label", "region"], "'region' is not a label: expected name=value"),
        (["up", "1", "--label", "a=1", "--label", "a=2"], "given twice"),
        (["up", "1", "--label", "a-b=1"], "is not a label name"),
        (["up", "1", "--label", "a=\x00"], "U+0000"),
        (["up", "1", "--label", "a=\udcff"], "lone surrogate"),
        (["up", "1", "--time", "yesterday"], "'yesterday' is not a time"),
        (["up", "1", "--time", "1790000000"], "looks like seconds"),
        (["up", "1", "--time", "9" * 18], "ahead of the server's clock"),
        (["up", "1", "--time", "9999-12-31"], "ahead of the server's clock"),
        (["up", "1", "--kind", "increment", "--unit", "x" * 21], "at most 20"),
        (["up", "-1", "--kind", "increment"], "a counter only grows"),
        (["up", "1", "--kind", "summary"], "invalid choice"),
        (["up", "1", "--stdin"], "standard input"),
    ],
)
def test_what_cannot_be_published_is_refused_in_a_sentence(
    arguments: list[str], reason: str
) -> None:
    sentence = refusal(*arguments)
    assert reason in sentence
    assert "samples[" not in sentence


def test_a_missing_database_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise OperationalError("no such table: metrics_series")

    monkeypatch.setattr(intake, "accept", broken)
    assert "manage.py migrate" in refusal("up", "1")


def test_publishing_says_what_was_stored() -> None:
    said = run("publish", "load", "0.5", "--time", "2026-01-02T03:04:05.678Z", "--label", "b=2",
               "--label", 'a=say "hi"')  # fmt: skip
    assert said == (
        'Stored load{a="say \\"hi\\"",b="2"} 0.5 (gauge) at 2026-01-02 03:04:05.678 UTC\n'
    )
    assert Series.objects.get().labels == {"a": 'say "hi"', "b": "2"}


@pytest.mark.django_db(transaction=True)
def test_increments_add_up_and_the_total_is_told() -> None:
    arguments = ("orders_total", "3", "--kind", "increment", "--label", "region=eu")
    run("publish", *arguments)
    said = run("publish", *arguments)
    assert re.fullmatch(
        r'Stored orders_total\{region="eu"\} 3 \(increment; total now 6\) '
        r"at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC\n",
        said,
    )
    assert newest("orders_total") == {'orders_total{region="eu"}': 6.0}
    assert Metric.objects.get().kind == "counter"


def test_a_negative_number_and_an_empty_label_can_be_published() -> None:
    run("publish", "balance", "-0.5", "--label", "note=")
    assert newest("balance") == {"balance": -0.5}  # an empty label is the same as none


@pytest.mark.parametrize(
    "time", ["1767323045678", "2026-01-02T03:04:05.678", "2026-01-02T04:04:05.678+01:00"]
)
def test_a_time_is_in_ms_or_iso_and_utc_where_no_zone_is_given(time: str) -> None:
    answer = json.loads(run("publish", "load", "1", "--time", time, "--json"))
    assert answer["time"] == 1_767_323_045_678


@pytest.mark.django_db(transaction=True)
def test_json_is_for_scripts() -> None:
    before_ms = now_ms()
    answer: dict[str, Any] = json.loads(
        run("publish", "orders_total", "3", "--kind", "increment", "--json")
    )
    assert before_ms <= answer.pop("time") <= now_ms()
    assert answer == {
        "stored": 1, "metric": "orders_total", "labels": {}, "value": 3.0, "kind": "increment",
        "total": 3.0,
    }  # fmt: skip


def test_a_unit_is_written_down_with_the_metric() -> None:
    run("publish", "free", "1", "--unit", "bytes")
    assert Metric.objects.get().unit == "bytes"


# Lines


def pipe(monkeypatch: pytest.MonkeyPatch, text: str, *arguments: str) -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return run("publish", "--stdin", *arguments)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("load", "Line 3: expected a metric and a value"),
        ("load x", "Line 3: 'x' is not a number"),
        ("lo-ad 1", "Line 3: 'lo-ad' is not a metric name"),
        ("load 1 cpu", "Line 3: 'cpu' is not a label"),
        ("load 1 a-b=c", "Line 3: "),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_stored(
    monkeypatch: pytest.MonkeyPatch, line: str, reason: str
) -> None:
    with pytest.raises(CommandError, match=re.escape(reason)):
        pipe(monkeypatch, f"load 1\n\n{line}\nload 2\n")
    assert Batch.objects.count() == 0


def test_lines_are_stored_together(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "# from a script\nload 1 cpu=0\n\nload 2 cpu=1 host=other\n"
    assert pipe(monkeypatch, text, "--label", "host=here") == "Stored 2 samples\n"
    assert newest("load") == {
        'load{cpu="0", host="here"}': 1.0,
        'load{cpu="1", host="other"}': 2.0,
    }
    assert Batch.objects.count() == 1


def test_no_lines_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(pipe(monkeypatch, "", "--json")) == {"stored": 0}


# Tokens


def test_the_token_command_prints_only_a_token_that_works() -> None:
    plain = run("token", "shop")
    assert re.fullmatch(r"pb_[A-Za-z0-9_-]{43}\n", plain)
    assert access.source_for(f"Bearer {plain.strip()}", "publish", now_ms()).name == "shop"
    reading = run("token", "wall", "--scope", "read").strip()
    assert access.source_for(f"Bearer {reading}", "read", now_ms()).name == "wall"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, "\udcff"])
def test_a_name_nobody_could_read_is_refused(name: str) -> None:
    assert "1 to 100 printable" in refusal(name, command="token")


def test_a_name_that_is_taken_is_a_sentence() -> None:
    run("token", "shop")
    assert "'shop' exists" in refusal("shop", command="token")
    assert Source.objects.count() == 1


@pytest.mark.parametrize(
    "arguments",
    [["token", "shop"], ["signin"], ["publish", "up", "1"], ["export", "up"]],
)
def test_before_the_first_start_it_is_said_what_to_do(
    new_server: NewServer, arguments: list[str]
) -> None:
    done = new_server(start=False).run(*arguments)
    assert done.returncode == 1
    assert "the database has no tables yet: start the server once, or run manage.py migrate" in (
        done.stderr.lower()
    )
    assert "Traceback" not in done.stderr
