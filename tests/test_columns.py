"""A batch of samples as bytes, and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.columns import Columns

BATCHES = st.lists(
    st.tuples(
        st.integers(0, 2**32 - 1),
        st.integers(-(2**63), 2**63 - 1) | st.just(1_790_000_000_000),
        st.floats(allow_nan=True, allow_infinity=True),
    ),
    max_size=50,
)


def columns(rows: list[tuple[int, int, float]]) -> Columns:
    series, times, values = zip(*rows, strict=True) if rows else ((), (), ())
    return Columns.of(series, times, values)


def rows(batch: Columns) -> list[tuple[int, int, bytes]]:
    """Values as bytes: NaN is not equal to itself."""
    values = [np.float64(value).tobytes() for value in batch.values]
    return list(zip(batch.series.tolist(), batch.times.tolist(), values, strict=True))


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02" + bytes(7), b"\x00" + bytes(7)])
def test_what_is_no_batch_of_this_version_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a packed batch of version 1"):
        Columns.unpack(data)


@pytest.mark.parametrize("change", [-1, 1, 20])
def test_a_batch_that_was_cut_or_grew_is_refused(change: int) -> None:
    data = Columns.of([1, 2], [5, 6], [0.5, 1.5]).pack()
    data = data[:change] if change < 0 else data + bytes(change)
    with pytest.raises(ValueError, match="2 samples cannot have"):
        Columns.unpack(data)


@pytest.mark.parametrize("id", [2**32, 2**40])
def test_an_id_that_does_not_fit_is_refused_and_not_cut(id: int) -> None:
    with pytest.raises(OverflowError, match="ids end at"):
        Columns.of([1, id], [5, 6], [0.5, 1.5]).pack()


@given(BATCHES)
def test_what_was_packed_comes_back_to_the_last_bit(batch: list[tuple[int, int, float]]) -> None:
    packed = columns(batch)
    assert rows(Columns.unpack(packed.pack())) == rows(packed)


@given(BATCHES.map(lambda batch: [(id, 1_790_000_000_000, value) for id, _, value in batch]))
def test_one_time_for_all_is_stored_once(batch: list[tuple[int, int, float]]) -> None:
    data = columns(batch).pack()
    assert len(data) == 8 + 12 * len(batch) + (8 if batch else 0)
    assert rows(Columns.unpack(memoryview(data))) == rows(columns(batch))


@given(st.lists(BATCHES.map(lambda batch: batch[:2]), max_size=8), st.booleans())
def test_many_batches_at_once_are_what_they_are_one_by_one(
    batches: list[list[tuple[int, int, float]]], one_time: bool
) -> None:
    if one_time:
        batches = [[(id, 1_790_000_000_000, value) for id, _, value in one] for one in batches]
    found, numbers = Columns.unpack_all([columns(batch).pack() for batch in batches])
    assert [column.dtype.str for column in (found.series, found.times)] == ["<i8", "<i8"]
    in_order = np.argsort(numbers, kind="stable")
    assert numbers[in_order].tolist() == [n for n, batch in enumerate(batches) for _ in batch]
    assert rows(found.take(in_order)) == [one for batch in batches for one in rows(columns(batch))]


@given(st.lists(BATCHES, max_size=8), st.sets(st.integers(0, 5)))
def test_of_many_batches_only_what_is_wanted_is_read(
    batches: list[list[tuple[int, int, float]]], ids: set[int]
) -> None:
    wanted = np.zeros(7, np.bool_)  # its last place stands for all larger ids
    wanted[list(ids)] = True
    found, numbers = Columns.unpack_all([columns(batch).pack() for batch in batches], wanted)
    expected = [[one for one in rows(columns(batch)) if one[0] in ids] for batch in batches]
    in_order = np.argsort(numbers, kind="stable")
    assert rows(found.take(in_order)) == [one for batch in expected for one in batch]
    assert numbers[in_order].tolist() == [n for n, batch in enumerate(expected) for _ in batch]


def test_of_many_batches_a_damaged_one_is_refused() -> None:
    data = Columns.of([1, 2], [5, 6], [0.5, 1.5]).pack()
    with pytest.raises(ValueError, match="packed batches of 2 samples have 48 bytes"):
        Columns.unpack_all([data, data, data[:-1]])
    with pytest.raises(ValueError, match="not a packed batch of version 1"):
        Columns.unpack_all([data, b"\x02" + data[1:]])


@given(st.lists(BATCHES, max_size=4))
def test_joined_batches_keep_their_order(batches: list[list[tuple[int, int, float]]]) -> None:
    joined = Columns.join([columns(batch) for batch in batches])
    assert rows(joined) == [row for batch in batches for row in rows(columns(batch))]


def test_samples_can_be_taken_out() -> None:
    batch = Columns.of([1, 2, 3], [5, 6, 7], [0.5, 1.5, math.inf])
    assert rows(batch.take(batch.times > 5)) == rows(batch)[1:]
