"""Payloads: what is refused, that nothing changes on the way, and how few bytes it takes."""

from __future__ import annotations

import struct
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from metrics import codec
from metrics.codec.decimals import scale, unscale
from metrics.codec.integers import pack

START_MS = 1_700_000_000_000
HOUR_OF_SECONDS = 3600
RANDOM = np.random.default_rng(3)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)

steady_ms = START_MS + np.arange(HOUR_OF_SECONDS, dtype=np.int64) * 1000


def walk(step: float) -> codec.Floats:
    steps: codec.Floats = RANDOM.normal(0, step, HOUR_OF_SECONDS)
    return np.round(50 + np.cumsum(steps), 2)


def counter() -> codec.Floats:
    return np.cumsum(RANDOM.integers(0, 101, HOUR_OF_SECONDS)).astype(np.float64)


def bits(array: NDArray[Any]) -> bytes:
    return array.tobytes()


def floats_of_any_kind() -> st.SearchStrategy[list[float]]:
    """Lists of one character: decimals, multiples, bit patterns, repetitions, or a mixture."""
    decimals = st.integers(-(10**9), 10**9).map(lambda cents: cents / 100)
    pages = st.integers(0, 1 << 30).map(lambda count: count * 4096.0)
    patterns = st.binary(min_size=8, max_size=8).map(lambda raw: struct.unpack("<d", raw)[0])
    special = st.sampled_from([0.0, -0.0, 5e-324, -5e-324, float("inf"), float("-inf"), 1e308])
    few = st.sampled_from([1 / 3, 2 / 3, 1.0])
    kinds = (decimals, pages, patterns, few, st.floats(), decimals | special)
    return st.one_of(*(st.lists(kind, max_size=80) for kind in kinds))


payload = codec.encode(steady_ms[:60], walk(1.0)[:60])


# Refusals


def test_an_unknown_version_is_refused_by_its_number() -> None:
    with pytest.raises(ValueError, match="version 9 is not known here, only 1 is"):
        codec.decode(b"\x09" + payload[1:])


@pytest.mark.parametrize("length", range(len(payload)))
def test_a_cut_payload_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="payload"):
        codec.decode(payload[:length])


def test_bytes_too_many_are_refused() -> None:
    with pytest.raises(ValueError, match="damaged payload"):
        codec.decode(payload + b"\x00")


@pytest.mark.parametrize("at", range(len(payload)))
def test_a_flipped_bit_is_refused_or_harmless(at: int) -> None:
    whole = codec.decode(payload)
    for bit in range(8):
        damaged = bytearray(payload)
        damaged[at] ^= 1 << bit
        try:
            found = codec.decode(bytes(damaged))
        except ValueError:
            continue
        assert [bits(part) for part in found] == [bits(part) for part in whole]


def test_other_columns_are_no_samples() -> None:
    whole = np.arange(3, dtype=np.int64)
    with pytest.raises(ValueError, match="layout 5 of 2 columns, expected times and values"):
        codec.decode(codec.encode_columns(5, [whole, whole.astype(np.float64)]))
    with pytest.raises(ValueError, match="layout 0 of 2 columns, expected times and values"):
        codec.decode(codec.encode_columns(0, [whole, whole]))


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"column 1 has shape \(3,\), expected \(2,\)"):
        codec.encode(np.arange(2), np.zeros(3))


def test_a_column_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="a column of float32 cannot be encoded"):
        codec.encode_columns(1, [np.zeros(3, np.float32)])


def test_more_rows_than_a_payload_holds_are_refused() -> None:
    many = np.broadcast_to(np.float64(0), codec.MAX_ROWS + 1)
    with pytest.raises(ValueError, match=f"at most {codec.MAX_ROWS} rows"):
        codec.encode_columns(1, [many])


# Nothing changes on the way


@given(floats_of_any_kind(), st.integers(0, 1000))
@example([-0.0] * 40 + [1.25] * 30, 0)
@example([float("nan")] * 3 + [cent / 100 for cent in range(70)], 0)
@settings(deadline=None)
def test_every_value_comes_back_bit_for_bit(numbers: list[float], seed: int) -> None:
    values = np.array(numbers, np.float64)
    any_times = np.random.default_rng(seed).integers(-(1 << 63), (1 << 63) - 1, len(values))
    for times in (steady_ms[: len(values)], any_times):
        found_times, found_values = codec.decode(codec.encode(times, values))
        assert (found_times.dtype.str, found_values.dtype.str) == ("<i8", "<f8")
        assert bits(found_times) == bits(times)
        assert bits(found_values) == bits(values)


@given(
    st.lists(st.integers(-3, 3), max_size=60),
    st.sampled_from([1, 10, 1000, 4096, (1 << 58) + 1]),
    INT64,
    INT64,
    st.integers(0, 3),
)
@settings(deadline=None)
def test_integers_of_every_shape_come_back(
    small: list[int], unit: int, start: int, slope: int, summed: int
) -> None:
    column = np.array(small, np.int64) * unit
    for _ in range(summed):
        column = np.cumsum(column)
    column = column + np.arange(len(column)) * slope + start
    layout, found = codec.decode_columns(codec.encode_columns(7, [column]))
    assert layout == 7
    assert bits(found[0]) == bits(column)


def test_the_kinds_of_an_hour_of_samples_come_back_bit_for_bit() -> None:
    irregular = steady_ms + RANDOM.integers(-400, 400, HOUR_OF_SECONDS)
    strays = np.where(RANDOM.random(HOUR_OF_SECONDS) < 0.02, np.nan, walk(1.0))
    random_bits = RANDOM.integers(-(1 << 63), (1 << 63) - 1, HOUR_OF_SECONDS).view(np.float64)
    for values in (walk(10.0), counter(), strays, random_bits, RANDOM.random(HOUR_OF_SECONDS)):
        for times in (steady_ms, irregular):
            found_times, found_values = codec.decode(codec.encode(times, values))
            assert bits(found_times) == bits(times)
            assert bits(found_values) == bits(values)


def test_what_is_decoded_may_be_written_to() -> None:
    for part in codec.decode(payload):
        part[0] = 7
        assert part[0] == 7


def test_a_view_of_other_memory_is_encoded_like_its_copy() -> None:
    every_other = walk(1.0)[::2]
    times = steady_ms[::2]
    assert codec.encode(times, every_other) == codec.encode(times.copy(), every_other.copy())


def test_no_columns_and_no_rows_come_back_as_such() -> None:
    assert codec.decode_columns(codec.encode_columns(3, [])) == (3, [])
    times, values = codec.decode(codec.encode(np.empty(0, np.int64), np.empty(0)))
    assert (len(times), len(values)) == (0, 0)


@st.composite
def rows_of(draw: st.DrawFn, count: int) -> codec.Rows:
    """Some of so many rows: a stretch of them, or any."""
    if draw(st.booleans()):
        begin = draw(st.integers(0, count))
        return slice(begin, draw(st.integers(begin, count)))
    picked = draw(st.sets(st.integers(0, count - 1))) if count else []
    return np.array(sorted(picked), np.int64)


@given(
    floats_of_any_kind(),
    st.lists(st.integers(-(1 << 40), 1 << 40), min_size=80, max_size=80),
    st.integers(0, 3),
    st.data(),
)
@example([-0.0] * 40 + [1.25] * 30, [7] * 80, 0, None)
@settings(deadline=None)
def test_some_rows_of_some_columns_are_those_of_the_whole(
    numbers: list[float], whole: list[int], summed: int, data: st.DataObject | None
) -> None:
    column = np.array(whole, np.int64)
    for _ in range(summed):
        column = np.cumsum(column)
    values = np.array(numbers, np.float64)
    columns = [column[: len(values)], values, steady_ms[: len(values)]]
    payload = codec.unpack(codec.encode_columns(1, columns))
    assert (payload.rows, payload.kinds) == (len(values), "ifi")
    rows = data.draw(rows_of(len(values))) if data is not None else slice(3, 30)
    for number in (2, 0, 1):
        found = payload.column(number, rows)
        assert found.dtype == columns[number].dtype
        assert bits(found) == bits(columns[number][rows])


def test_threads_encode_and_decode_at_once() -> None:
    chunks = [(steady_ms, walk(1.0)) for _ in range(4)]
    expected = [codec.encode(*chunk) for chunk in chunks]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            data = codec.encode(*chunks[number])
            if data != expected[number] or bits(codec.decode(data)[1]) != bits(chunks[number][1]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(chunks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# How it is predicted


def test_decimals_are_found_and_a_few_strays_kept_apart() -> None:
    cents = np.arange(1000, 1100, dtype=np.int64)
    values = cents / 100
    values[[0, 1, 40, 99]] = (-0.0, np.nan, np.inf, 1 / 3)
    found = scale(values)
    assert found is not None
    assert (found.decimals, found.strays.tolist()) == (2, [0, 1, 40, 99])
    assert bits(unscale(found.integers, 2)[2:40]) == bits(values[2:40])
    assert found.integers[[0, 1, 40, 99]].tolist() == [1002, 1002, 1039, 1098]


def test_a_late_first_decimal_is_found() -> None:
    values = np.append(np.full(500, 3.0), np.arange(500) / 1000)
    found = scale(values)
    assert found is not None
    assert (found.decimals, len(found.strays)) == (3, 0)


def test_values_that_are_no_decimals_are_left_alone() -> None:
    assert scale(RANDOM.random(100)) is None


def test_orders_suit_what_they_are_for() -> None:
    rising = np.arange(500) * 1000
    noise = RANDOM.integers(-5, 6, 500)
    assert pack(rising)[0].width == 0
    assert pack(rising + noise)[0].order == 0
    assert pack(np.cumsum(noise))[0].order == 1
    assert pack(np.cumsum(np.cumsum(noise)))[0].order == 2
    assert pack(np.cumsum(noise) * 4096)[0].unit == 4096


# How few bytes it takes


@pytest.mark.parametrize(
    ("values", "at_most"),
    [
        pytest.param(np.full(HOUR_OF_SECONDS, 42.5), 0.02, id="constant"),
        pytest.param(walk(0.1), 0.8, id="slow walk with 2 decimals"),
        pytest.param(walk(1.0), 1.3, id="walk with 2 decimals"),
        pytest.param(counter(), 0.9, id="counter"),
        pytest.param(counter() * 4096, 0.9, id="pages"),
        pytest.param(RANDOM.integers(0, 2, HOUR_OF_SECONDS) * 1.0, 0.25, id="flag"),
        pytest.param(RANDOM.random(HOUR_OF_SECONDS), 7.0, id="full entropy"),
    ],
)
def test_an_hour_at_one_second_is_small(values: codec.Floats, at_most: float) -> None:
    assert len(codec.encode(steady_ms, values)) / HOUR_OF_SECONDS <= at_most


def test_irregular_times_cost_little_more_than_their_noise() -> None:
    jitter = np.rint(RANDOM.normal(0, 5, HOUR_OF_SECONDS)).astype(np.int64)
    data = codec.encode(steady_ms + jitter, np.zeros(HOUR_OF_SECONDS))
    assert len(data) / HOUR_OF_SECONDS <= 0.65


def test_a_minute_of_seconds_is_small_too() -> None:
    assert len(codec.encode(steady_ms[:60], counter()[:60])) <= 100
