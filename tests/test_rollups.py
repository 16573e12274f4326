"""Rollups against sums made one sample at a time, and their way through bytes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from metrics import codec
from metrics.rollups import (
    COLUMNS,
    RESOLUTIONS_MS,
    Rollup,
    decode,
    encode,
    merge,
    roll,
    roll_up,
)
from tests.support.memory_source import Sample

TEN_S, MINUTE, HOUR = RESOLUTIONS_MS
START_MS = 1_699_999_200_000  # a full hour


def arrays(samples: Sequence[Sample]) -> tuple[codec.Ints, codec.Floats]:
    times = np.array([time for time, _ in samples], np.int64)
    return times, np.array([value for _, value in samples], np.float64)


def rolled(samples: Sequence[Sample], resolution_ms: int) -> Rollup:
    return roll(*arrays(samples), resolution_ms)


def same(left: NDArray[Any], right: NDArray[Any]) -> bool:
    return left.dtype == right.dtype and left.tobytes() == right.tobytes()


def equal(left: Rollup, right: Rollup) -> bool:
    """Whether two rollups agree in every bit."""
    pairs = zip(left.columns(), right.columns(), strict=True)
    return left.resolution_ms == right.resolution_ms and all(same(*pair) for pair in pairs)


def end_of(time_ms: int, resolution_ms: int) -> int:
    return -(-time_ms // resolution_ms) * resolution_ms


def grown(samples: Sequence[Sample]) -> float:
    """What a counter grew from the first of the samples to the last, its resets added."""
    pairs = itertools.pairwise(value for _, value in samples)
    return math.fsum(after if after < before else after - before for before, after in pairs)


def decimal(number: float) -> Fraction:
    """The decimal of at most 7 places that a float stands for."""
    return Fraction(round(number * 10**7), 10**7)


@st.composite
def histories(draw: st.DrawFn, value: st.SearchStrategy[float]) -> list[Sample]:
    """Samples at ascending times, from many to a bucket to several buckets apart."""
    gap = st.sampled_from([1, 999, 1000, 1000, 1001, 5000, 10_000, 47_000, 60_000, 900_000])
    start = START_MS + draw(st.integers(0, 20_000))
    gaps = draw(st.lists(gap, max_size=60))
    times = list(itertools.accumulate(gaps, initial=start))
    return [(time, draw(value)) for time in times]


cents = st.integers(-50_000, 50_000).map(lambda number: number / 100)
anything = st.floats(allow_nan=False, allow_infinity=False, width=32) | cents
readings = st.integers(0, 30).map(float)  # falls half of the time: many resets
resolutions = st.sampled_from([TEN_S, MINUTE, HOUR])


def test_a_resolution_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 ms, not 0"):
        rolled([(START_MS, 1.0)], 0)


def test_buckets_that_do_not_fit_are_refused() -> None:
    fine = rolled([(START_MS, 1.0)], TEN_S)
    with pytest.raises(ValueError, match="10000 ms do not fit into buckets of 25000 ms"):
        roll_up(fine, 25_000)


def test_a_bucket_outside_of_the_replaced_range_is_refused() -> None:
    fine = rolled([(START_MS, 1.0), (START_MS + 60_000, 2.0)], TEN_S)
    with pytest.raises(ValueError, match="expected after"):
        merge(fine, fine, START_MS, START_MS + 60_000)


def test_merging_different_resolutions_is_refused() -> None:
    fine, coarse = (rolled([(START_MS, 1.0)], resolution) for resolution in (TEN_S, MINUTE))
    with pytest.raises(ValueError, match="60000 ms cannot replace buckets of 10000 ms"):
        merge(fine, coarse, 0, START_MS)


def test_bytes_that_are_no_rollup_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a rollup"):
        decode(codec.encode(*arrays([(START_MS, 1.0)])), TEN_S)


def test_a_rollup_of_another_resolution_is_refused() -> None:
    data = encode(rolled([(START_MS + 1, 1.0)], TEN_S))
    with pytest.raises(ValueError, match="not of 60000 ms"):
        decode(data, MINUTE)


def test_a_bucket_is_open_on_the_left_and_named_by_its_end() -> None:
    fine = rolled([(START_MS, 1.0), (START_MS + 1, 2.0), (START_MS + 10_000, 3.0)], TEN_S)
    assert fine.end_ms.tolist() == [START_MS, START_MS + 10_000]
    assert fine.count.tolist() == [1, 2]


def test_a_bucket_knows_its_samples() -> None:
    values = [5.0, 9.0, 2.0, 4.0, 1.0]
    times = [START_MS + 1000 * second for second in (1, 2, 3, 4, 10)]
    found = rolled([*zip(times, values, strict=True)], TEN_S)
    (bucket,) = np.column_stack(found.columns()).tolist()
    assert bucket == [times[-1], 5, 21, 1, 9, 5, 1, times[0], times[-1], 9 + 4]


@given(histories(anything), resolutions)
@settings(deadline=None)
def test_every_bucket_is_right(samples: list[Sample], resolution_ms: int) -> None:
    found = rolled(samples, resolution_ms)
    groups = itertools.groupby(samples, key=lambda sample: end_of(sample[0], resolution_ms))
    expected = [(end, list(group)) for end, group in groups]
    assert found.end_ms.tolist() == [end for end, _ in expected]
    for row, (_, group) in enumerate(expected):
        values = [value for _, value in group]
        assert found.count[row] == len(group)
        assert (found.min[row], found.max[row]) == (min(values), max(values))
        assert (found.first[row], found.last[row]) == (values[0], values[-1])
        assert (found.first_ms[row], found.last_ms[row]) == (group[0][0], group[-1][0])
        scale = math.fsum(map(abs, values))
        assert found.sum[row] == pytest.approx(math.fsum(values), rel=0, abs=1e-12 * scale)
        increase = found.last[row] - found.first[row] + found.resets[row]
        assert increase == pytest.approx(grown(group), rel=0, abs=1e-12 * scale)


@given(histories(cents), resolutions)
@settings(deadline=None)
def test_sums_of_decimals_are_exact(samples: list[Sample], resolution_ms: int) -> None:
    found = rolled(samples, resolution_ms)
    for end, total in zip(found.end_ms.tolist(), found.sum.tolist(), strict=True):
        inside = [value for time, value in samples if end_of(time, resolution_ms) == end]
        assert total == float(sum(map(decimal, inside)))


def test_a_value_that_is_no_decimal_is_summed_as_it_is() -> None:
    values = [second / 100 for second in range(60)]
    values[34] = math.pi
    found = rolled([(START_MS + 1000 * at, value) for at, value in enumerate(values, 1)], TEN_S)
    expected = [math.fsum(values[at : at + 10]) for at in range(0, 60, 10)]
    assert found.sum == pytest.approx(expected, rel=1e-14)


@given(histories(anything), st.booleans())
@settings(deadline=None)
def test_rolling_up_equals_rolling_the_samples(samples: list[Sample], counter: bool) -> None:
    times, values = arrays(samples)
    fine = roll(times, values, TEN_S, counter)
    minutes = roll(times, values, MINUTE, counter)
    hours = roll(times, values, HOUR, counter)
    assert equal(roll_up(fine, MINUTE, counter), minutes)
    assert equal(roll_up(fine, HOUR, counter), hours)
    assert equal(roll_up(minutes, HOUR, counter), hours)
    assert equal(roll_up(minutes, MINUTE, counter), minutes)


@given(histories(cents))
@settings(deadline=None)
def test_no_spike_is_lost(samples: list[Sample]) -> None:
    values = [value for _, value in samples]
    for resolution_ms in RESOLUTIONS_MS:
        found = rolled(samples, resolution_ms)
        assert (found.min.min(), found.max.max()) == (min(values), max(values))


def test_nothing_rolls_up_to_nothing() -> None:
    nothing = rolled([], TEN_S)
    assert len(nothing) == len(roll_up(nothing, HOUR)) == len(decode(encode(nothing), TEN_S)) == 0


def test_a_gauge_keeps_no_resets() -> None:
    times, values = arrays([(START_MS + 1000 * second, 9.0 - second) for second in range(9)])
    gauge = roll(times, values, TEN_S, counter=False)
    assert not roll_up(gauge, HOUR, counter=False).resets.any()


@given(histories(anything | readings | st.floats(allow_nan=False)), resolutions)
@settings(deadline=None)
def test_a_rollup_comes_back_bit_for_bit(samples: list[Sample], resolution_ms: int) -> None:
    found = rolled(samples, resolution_ms)
    assert equal(decode(encode(found), resolution_ms), found)


@given(histories(anything | readings), resolutions, st.sets(st.sampled_from(COLUMNS)), st.data())
@settings(deadline=None)
def test_a_part_of_a_rollup_is_that_part_of_the_whole(
    samples: list[Sample], resolution_ms: int, names: set[str], data: st.DataObject
) -> None:
    whole = rolled(samples, resolution_ms)
    begin = data.draw(st.integers(0, len(whole)))
    picked = data.draw(st.sets(st.integers(0, len(whole) - 1)))
    for rows in (slice(begin, None), slice(0, begin), np.array(sorted(picked), np.int64)):
        found = decode(encode(whole), resolution_ms, names, lambda _, rows=rows: rows)  # type: ignore[misc]
        assert same(found.end_ms, whole.end_ms[rows])
        for name in COLUMNS:
            column = getattr(found, name)
            assert len(column) == len(found)
            if name in names:
                assert same(column, getattr(whole, name)[rows])


@pytest.mark.parametrize(("counter", "at_most"), [(True, 4.5), (False, 8.0)])
def test_an_hour_in_ten_second_buckets_is_small(counter: bool, at_most: float) -> None:
    random = np.random.default_rng(5)
    times = START_MS + 1 + np.arange(3600) * 1000
    steps = random.integers(0, 101, 3600) if counter else random.normal(0, 100, 3600)
    values = np.rint(np.cumsum(steps)) / (1 if counter else 100)
    found = roll(times, values, TEN_S, counter)
    assert len(encode(found)) / len(found) <= at_most


@given(histories(cents), st.data())
@settings(deadline=None)
def test_a_range_made_anew_equals_all_made_anew(samples: list[Sample], data: st.DataObject) -> None:
    late = data.draw(st.integers(0, len(samples) - 1))
    before = rolled(samples[:late] + samples[late + 1 :], MINUTE)
    end = end_of(samples[late][0], MINUTE)
    inside = [sample for sample in samples if end - MINUTE < sample[0] <= end]
    after = merge(before, rolled(inside, MINUTE), end - MINUTE, end)
    assert equal(after, rolled(samples, MINUTE))
    gone = merge(after, rolled([], MINUTE), end - MINUTE, end)
    assert equal(after.between(end - MINUTE, end), rolled(inside, MINUTE))
    assert len(gone) == len(after) - 1
