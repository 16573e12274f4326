"""CSV as it goes out and comes in: exact, and harmless in a spreadsheet."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.moving import export_text, ranges
from metrics.moving.csv_in import CsvReader, Dialect
from metrics.moving.csv_layout import Mapping
from metrics.moving.export import Export, Piece
from metrics.moving.samples_in import Bad
from metrics.moving.text_lines import TextFile
from metrics.moving.times import TimeReader, zone
from metrics.names import unclean
from tests.moving_support import NOW_MS
from tests.support.environment import FOLDER


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'x", "'=x"])
def test_no_text_is_a_formula(text: str) -> None:
    piece = Piece("load", {"host": text}, np.array([1]), np.array([-1.0]))
    (_, row) = csv.reader(_csv_of([piece]).splitlines())
    assert row[2] == f"'{text}".rstrip("\r\n") or row[2].startswith("'")
    assert row[3] == "-1"  # a number stays one


def _csv_of(pieces: list[Piece]) -> str:
    names = sorted({name for piece in pieces for name in piece.labels})
    found = Export(names, len(pieces), iter(pieces))
    return b"".join(export_text.csv(found, "iso")).decode()


label_values = st.text(min_size=1, max_size=20).filter(lambda text: not unclean(text))
finite = st.floats(allow_nan=False, allow_infinity=False)
moments = st.integers(946_684_800_000, NOW_MS)


@st.composite
def pieces(draw: st.DrawFn) -> list[Piece]:
    found = []
    for name in draw(st.sets(st.sampled_from("abc"), min_size=1)):
        labels = draw(st.dictionaries(st.sampled_from(["host", "zone"]), label_values))
        samples = draw(st.dictionaries(moments, finite, min_size=1, max_size=5))
        times = np.array(sorted(samples), np.int64)
        values = np.array([samples[at_ms] for at_ms in times.tolist()])
        found.append(Piece(name, labels, times, values))
    return found


@given(pieces())
def test_what_is_exported_is_imported_bit_for_bit(written: list[Piece]) -> None:
    path = FOLDER / "round-trip.csv"
    path.write_text(_csv_of(written), encoding="utf-8", newline="")
    file = TextFile(path, "round-trip.csv", "utf-8")
    time = TimeReader("auto", zone("UTC"), NOW_MS)
    reader = CsvReader(file, Dialect(exported=True), Mapping(), time, "gauge")
    with file.lines() as lines:
        items = list(reader.read(lines))
    found = [
        (item[1].metric, dict(item[1].labels), item[1].time, item[1].value)
        for item in items
        if not isinstance(item, Bad)
    ]
    assert len(found) == len(items)
    assert found == [
        (piece.metric, dict(piece.labels), at_ms, value)
        for piece in written
        for at_ms, value in zip(piece.times.tolist(), piece.values.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("load", "load-20260921.csv"),
        ('sum(rate(x{a="../../etc"}[5m]))', "sum_rate_x_a_etc_5m-20260921.csv"),
        ('"\r\nX: y', "X_y-20260921.csv"),
        ("ü" * 300, "export-20260921.csv"),
        ("x" * 300, "x" * 80 + "-20260921.csv"),
    ],
)
def test_a_file_name_is_plain(text: str, name: str) -> None:
    assert ranges.file_name(text, 1_790_000_000_000, "csv") == name
