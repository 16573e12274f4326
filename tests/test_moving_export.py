"""manage.py export: whole, exact, harmless in a spreadsheet, whatever the length."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrics import catalog, chunks, codec, intake
from metrics.models import Batch, Chunk, Series
from metrics.moving import export, export_arrow, export_text
from metrics.moving.export import Export, Piece
from metrics.moving.trouble import CannotMove
from metrics.samples import Sample
from tests.moving_support import NOW_MS, refusal, run

WINDOW_MS = chunks.WINDOW_MS[chunks.SAMPLES]
START_MS = NOW_MS - NOW_MS % WINDOW_MS - 4 * WINDOW_MS

Rows = list[dict[str, str]]


def sealed(metric: str, labels: dict[str, str], times: list[int], values: list[float]) -> None:
    """Samples in chunks, as sealing leaves them."""
    publish([(metric, labels, times[0], values[0])])
    id = Series.objects.get(metric__name=metric, labels=labels).pk
    Batch.objects.all().delete()
    for start_ms in sorted({chunks.window_of(at_ms, 0) for at_ms in times}):
        inside = [n for n, at in enumerate(times) if chunks.window_of(at, 0) == start_ms]
        data = codec.encode(
            np.array([times[n] for n in inside]), np.array([values[n] for n in inside])
        )
        Chunk.objects.bulk_create([chunks.row(id, 0, start_ms, len(inside), data)])


def publish(samples: list[tuple[str, dict[str, str], int, float]]) -> None:
    intake.accept(
        [Sample(metric, value, labels, at_ms) for metric, labels, at_ms, value in samples],
        now_ms=NOW_MS,
    )


@pytest.fixture
def load(store: str) -> dict[int, float]:
    """A series in three chunks and in the log, which corrects one sample of a chunk."""
    times = list(range(START_MS + 1, START_MS + 3 * WINDOW_MS, 60_000))
    sealed("load", {"cpu": "0"}, times, [at_ms % 977 / 4 for at_ms in times])
    late = [START_MS - 1000, times[100], times[-1] + 5, START_MS + 4 * WINDOW_MS]
    publish([("load", {"cpu": "0"}, at_ms, -0.5) for at_ms in late])
    publish([("load", {"cpu": "1", "host": "b"}, START_MS, 7.0), ("other", {}, START_MS, 1.0)])
    expected = {at_ms: at_ms % 977 / 4 for at_ms in times} | dict.fromkeys(late, -0.5)
    return dict(sorted(expected.items()))


def exported(folder: Path, *arguments: object) -> str:
    run("export", *arguments, "-o", folder / "out")
    assert [path.name for path in folder.iterdir()] == ["out"]
    text = (folder / "out").read_text()
    (folder / "out").unlink()
    return text


def table(text: str) -> Rows:
    return list(csv.DictReader(io.StringIO(text)))


def of_cpu(rows: Rows, cpu: str) -> dict[int, float]:
    return {int(row["time"]): float(row["value"]) for row in rows if row["cpu"] == cpu}


# What cannot be exported


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Expected an expression, or a metric's name"),
        (["load", "--metric", "load"], "and not both"),
        (["load{"], "character"),
        (["rate(load[1m])"], "say how long a step is"),
        (["load[1m]"], "load[1m]"),
        (["load", "--step", "1"], "'1' is no length of time"),
        (["load", "--step", "0s"], "'0s' is no length of time"),
        (["load", "--step", "1m"], "from: expected a moment"),
        (["load", "--from", "soon"], "from: 'soon' is not a time"),
        (["load", "--from", "1h", "--to", "2h"], "expected a moment before to"),
        (["load", "--format", "xls"], "'xls' is not a format: expected csv, jsonl, parquet"),
        (["load", "--time-format", "us"], "'us' is not a time format"),
        (["--metric", "lo-ad"], "'lo-ad' is not a metric name"),
        (["nothing"], "No series is selected by nothing"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(
    load: dict[int, float], folder: Path, arguments: list[str], reason: str
) -> None:
    assert reason in refusal("export", *arguments, "-o", folder / "out")
    assert list(folder.iterdir()) == []


def test_a_place_that_cannot_be_written_is_a_sentence(load: object, folder: Path) -> None:
    assert "cannot be written: No such" in refusal("export", "load", "-o", folder / "no" / "out")


def test_a_query_that_is_too_large_is_a_sentence(load: object, folder: Path, settings: Any) -> None:
    settings.SERIES_PER_QUERY = 1
    arguments = ("load", "--from", START_MS, "--to", START_MS + WINDOW_MS, "--step", "1m")
    assert "picks 2 series" in refusal("export", *arguments, "-o", folder / "out")
    assert list(folder.iterdir()) == []


# Samples


def test_samples_of_chunks_and_log_come_once_and_in_order(
    load: dict[int, float], folder: Path
) -> None:
    rows = table(exported(folder, "--metric", "load", "--time-format", "ms"))
    assert list(rows[0]) == ["time", "metric", "cpu", "host", "value"]
    assert {row["metric"] for row in rows} == {"load"}
    assert list(of_cpu(rows, "0").items()) == list(load.items())
    assert len(rows) == len(load) + 1
    assert of_cpu(rows, "1") == {START_MS: 7.0}


def test_small_pages_and_groups_change_nothing(
    load: dict[int, float], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = exported(folder, "load")
    for name in ("SERIES_AT_ONCE", "CHUNKS_AT_ONCE", "UNSEALED_AT_ONCE"):
        monkeypatch.setattr(export, name, 1)
    monkeypatch.setattr(export_text, "SAMPLES_AT_ONCE", 7)
    assert exported(folder, "load") == whole


def test_a_range_begins_with_its_start_and_ends_before_its_end(
    load: dict[int, float], folder: Path
) -> None:
    times = list(load)
    start, end = times[1], times[-3]
    rows = table(
        exported(folder, 'load{cpu="0"}', "--from", start, "--to", end, "--time-format", "ms")
    )
    assert of_cpu(rows, "0") == {at: value for at, value in load.items() if start <= at < end}


def test_every_form_says_the_same(load: dict[int, float], folder: Path) -> None:
    iso = table(exported(folder, 'load{cpu="0"}'))
    seconds = table(exported(folder, 'load{cpu="0"}', "--time-format", "s"))
    text = exported(folder, "load", "--format", "jsonl")
    lines = [json.loads(line) for line in text.splitlines()]
    moments = np.array([row["time"].removesuffix("Z") for row in iso], "datetime64[ms]")
    assert moments.astype(int).tolist() == list(load)
    assert [round(float(row["time"]) * 1000) for row in seconds] == list(load)
    assert {one["time"]: one["value"] for one in lines if one["labels"]["cpu"] == "0"} == load
    assert lines[-1] == {
        "time": START_MS, "metric": "load", "labels": {"cpu": "1", "host": "b"}, "value": 7,
    }  # fmt: skip


def test_standard_output_holds_data_only(
    load: object, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    run("export", "other")
    assert capsysbinary.readouterr().out.decode().count("\n") == 2


def test_a_series_made_meanwhile_is_not_half_in_it(load: object) -> None:
    found = export.of_samples(_selector("load"), 0, 1 << 60)
    publish([("load", {"new": "label"}, START_MS, 1.0)])
    text = b"".join(export_text.csv(found, "ms")).decode()
    assert "label" not in text
    found = Export([], 1, iter([Piece("x", {"new": "label"}, np.array([1]), np.array([1.0]))]))
    with pytest.raises(CannotMove, match="export again"):
        b"".join(export_text.csv(found, "ms"))


def _selector(name: str) -> Any:
    from metrics.query import parse

    return parse(name).selectors[0]


def test_that_older_samples_are_gone_is_said(load: object, folder: Path) -> None:
    assert not export.only_rollups_before(_selector("load"))
    id = Series.objects.get(labels={"cpu": "0"}).pk
    old_ms = chunks.window_of(START_MS - 40 * 86_400_000, 60_000)
    Chunk.objects.bulk_create([chunks.row(id, 60_000, old_ms, 1, b"")])
    assert export.only_rollups_before(_selector("load"))


# Steps


def test_an_expression_is_exported_at_its_steps(
    load: dict[int, float], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("max by (cpu) (load)", "--from", START_MS + 1, "--to", START_MS + WINDOW_MS + 1)
    whole = exported(folder, *arguments, "--step", "5m", "--time-format", "ms")
    rows = table(whole)
    assert list(rows[0]) == ["time", "metric", "cpu", "value"]
    found = of_cpu(rows, "0")
    steps = [START_MS + 300_000 * n for n in range(1, WINDOW_MS // 300_000 + 1)]
    assert list(found) == steps
    for at_ms, value in found.items():
        newest = max(time for time in load if time <= at_ms)
        assert value == load[newest]
    monkeypatch.setattr(export, "STEPS_AT_ONCE", 2)
    monkeypatch.setattr(export, "WINDOWS_AT_ONCE", 1)
    in_parts = table(exported(folder, *arguments, "--step", "5m", "--time-format", "ms"))
    assert of_cpu(in_parts, "0") == found


# Back again


def test_an_export_imports_into_the_same_series(
    load: dict[int, float], folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "load.csv"
    path.write_text(exported(folder, "load"))
    before = exported(folder, "load")
    Series.objects.all().delete()
    Batch.objects.all().delete()
    Chunk.objects.all().delete()
    catalog.forget()
    run("import", path, "--exported")
    assert sorted(exported(folder, "load").split("\n")) == sorted(before.split("\n"))


# Parquet


def test_without_the_library_parquet_is_refused(
    load: object, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)  # importing it fails
    assert "pip install pyarrow" in refusal(
        "export", "load", "--format", "parquet", "-o", folder / "out"
    )
    assert list(folder.iterdir()) == []


def test_parquet_holds_the_samples(
    load: dict[int, float], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_arrow, "ROWS_AT_ONCE", 150)  # several row groups
    path = folder / "out.parquet"
    run("export", "load", "--format", "parquet", "-o", path)
    found = export_arrow.library().parquet.read_table(path).to_pylist()
    mine = [row for row in found if row["cpu"] == "0"]
    assert [round(row["time"].timestamp() * 1000) for row in mine] == list(load)
    assert [row["value"] for row in mine] == list(load.values())
    assert {row["host"] for row in mine} == {None}
    assert len(found) == len(load) + 1


@pytest.fixture(autouse=True)
def _nothing_cached() -> Iterator[None]:
    catalog.forget()
    yield
