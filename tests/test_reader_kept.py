"""Decoded rollups that are kept because they are asked for again and again."""

from __future__ import annotations

import numpy as np
import pytest

from metrics import rollups
from metrics.reading import decoding
from metrics.reading.kept import Kept
from metrics.reading.shapes import Gauge
from metrics.rollups import RESOLUTIONS_MS, Rollup

TEN_S = RESOLUTIONS_MS[0]
PLACE = 1, 0
NAMES = frozenset({"last"})


def rolled(values: list[float], resolution_ms: int = TEN_S) -> Rollup:
    times = np.arange(1, len(values) + 1, dtype=np.int64) * 1000
    return rollups.roll(times, np.array(values), resolution_ms)


def read(data: bytes, from_ms: int = 0, to_ms: int = 100_000) -> list[float]:
    gauge = Gauge(np.arange(0, 200_000, 5000), 300_000)
    found = decoding.buckets(PLACE, data, TEN_S, from_ms, to_ms, gauge)
    assert found is not None
    values: list[float] = found.last.tolist()
    return values


def test_what_is_kept_cannot_be_written_to() -> None:
    kept, rollup = Kept(), rolled([1.0, 2.0])
    kept.add((b"x", NAMES), rollup)
    with pytest.raises(ValueError, match="read-only"):
        rollup.last[0] = 5.0


def test_no_more_is_kept_than_the_bound_and_the_latest_used_stay() -> None:
    one = rolled([1.0])
    size = 1 + sum(column.nbytes for column in one.columns())
    kept = Kept(most_bytes=2 * size)
    kept.add((b"a", NAMES), one)
    kept.add((b"b", NAMES), rolled([1.0]))
    assert kept.get((b"a", NAMES)) is one
    kept.add((b"c", NAMES), rolled([1.0]))
    assert kept.get((b"b", NAMES)) is None
    assert kept.get((b"a", NAMES)) is one


def test_what_is_larger_than_the_bound_is_not_kept() -> None:
    kept = Kept(most_bytes=10)
    kept.add((b"a", NAMES), rolled([1.0]))
    assert kept.get((b"a", NAMES)) is None


def test_a_chunk_is_wanted_when_it_is_asked_for_again() -> None:
    kept = Kept()
    assert not kept.is_wanted((b"a", NAMES))
    assert kept.is_wanted((b"a", NAMES))
    assert not kept.is_wanted((b"a", NAMES | {"min"})), "of other columns nothing is known"


def test_every_reading_of_a_chunk_is_the_same_and_a_changed_chunk_is_seen_at_once() -> None:
    values = [float(value) for value in range(40)]
    data = rollups.encode(rolled(values))
    assert [read(data) for _ in range(4)] == [[9.0, 19.0, 29.0, 39.0]] * 4
    assert [read(data, 10_000, 30_000) for _ in range(4)] == [read(data)[1:3]] * 4
    values[3], values[39] = -5.0, 99.0
    assert read(rollups.encode(rolled(values)))[-1] == 99.0
