"""Queries answered from rollups against the same queries answered from the samples."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.query import Matrix, SeriesData, evaluate, parse
from metrics.reading import shapes
from metrics.rollups import RESOLUTIONS_MS, roll
from tests.support.memory_source import Memory, Sample
from tests.support.rolled_source import LABELS, RolledSource, arrays

TEN_S, MINUTE, HOUR = RESOLUTIONS_MS
DAY = 24 * HOUR
START_MS = 1_699_999_200_000  # a full hour
LOOKBACK_MS = 300_000


def from_samples(text: str, samples: Sequence[Sample], end_ms: int, step_ms: int) -> Matrix:
    held = Memory([SeriesData(LABELS, *arrays(samples))])
    return evaluate(parse(text), held, START_MS, end_ms, step_ms, LOOKBACK_MS, band="[" not in text)


def from_parts(
    text: str, parts: list[tuple[int, list[Sample]]], end_ms: int, step_ms: int
) -> Matrix:
    source = RolledSource(parts, step_ms, LOOKBACK_MS)
    return evaluate(
        parse(text), source, START_MS, end_ms, step_ms, LOOKBACK_MS, band="[" not in text
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Sample]:
    """Samples with gaps; their values fall half of the time."""
    gap = st.sampled_from([1, 999, 1000, 1000, 1001, 5000, 10_000, 47_000, 60_000, 900_000])
    gaps = draw(st.lists(gap, max_size=80))
    times = itertools.accumulate(gaps, initial=START_MS - draw(st.integers(0, 7_200_000)))
    return [(time, float(draw(st.integers(0, 30)))) for time in times]


@st.composite
def cut(draw: st.DrawFn, samples: list[Sample], coarsest_ms: int) -> list[tuple[int, list[Sample]]]:
    """The samples in parts as they may lie in the store: coarse ones first, samples last."""
    levels = [resolution for resolution in RESOLUTIONS_MS if resolution <= coarsest_ms][::-1]
    parts, rest = [], samples
    for resolution_ms in levels:
        until_ms = START_MS + draw(st.integers(-3, 3)) * HOUR
        parts.append((resolution_ms, [one for one in rest if one[0] <= until_ms]))
        rest = [one for one in rest if one[0] > until_ms]
    return [*parts, (0, rest)]


def same(found: Matrix, exact: Matrix) -> None:
    assert found.labels == exact.labels
    np.testing.assert_allclose(found.values, exact.values, rtol=1e-9, atol=1e-12)
    for mine, true in ((found.low, exact.low), (found.high, exact.high)):
        assert (mine is None) == (true is None)
        if mine is not None and true is not None:
            np.testing.assert_array_equal(mine, true)


@settings(deadline=None)
@given(histories(), st.sampled_from(RESOLUTIONS_MS), st.sampled_from([1, 2, 3, 6, 30]), st.data())
def test_whole_buckets_answer_for_a_gauge_what_its_samples_do(
    samples: list[Sample], resolution_ms: int, buckets: int, data: st.DataObject
) -> None:
    step_ms = buckets * resolution_ms
    end_ms = START_MS + 8 * step_ms
    parts = data.draw(cut(samples, resolution_ms))
    same(
        from_parts("x_total", parts, end_ms, step_ms),
        from_samples("x_total", samples, end_ms, step_ms),
    )


@settings(deadline=None)
@given(
    histories(), st.sampled_from(RESOLUTIONS_MS), st.integers(1, 3), st.integers(1, 5), st.data()
)
def test_whole_buckets_answer_for_a_counter_what_its_samples_do(
    samples: list[Sample], resolution_ms: int, buckets: int, range_: int, data: st.DataObject
) -> None:
    step_ms = buckets * resolution_ms
    end_ms = START_MS + 8 * step_ms
    parts = data.draw(cut(samples, resolution_ms))
    for function in ("rate", "increase"):
        text = f"{function}(x_total[{range_ * resolution_ms}ms])"
        same(from_parts(text, parts, end_ms, step_ms), from_samples(text, samples, end_ms, step_ms))


@settings(deadline=None)
@given(histories(), st.sampled_from(RESOLUTIONS_MS), st.integers(100, 4_000_000), st.data())
def test_a_gauge_within_a_bucket_is_never_outside_of_what_it_was(
    samples: list[Sample], resolution_ms: int, step_ms: int, data: st.DataObject
) -> None:
    """Steps that no bucket ends at: the newest sample is at most one bucket old, or a mean."""
    parts = data.draw(cut(samples, resolution_ms))
    end_ms = START_MS + 8 * step_ms
    found = from_parts("x_total", parts, end_ms, step_ms)
    values = [value for _, value in samples]
    for step, value in zip(found.times.tolist(), found.values.ravel().tolist(), strict=False):
        if not np.isnan(value):
            near = [v for t, v in samples if step - LOOKBACK_MS - HOUR < t <= step + resolution_ms]
            assert near
            assert min(near) <= value <= max(near)
    assert found.high is None or np.nanmax(found.high) <= max(values)


def test_a_steady_counter_is_right_at_any_border() -> None:
    samples = [(START_MS - 3 * HOUR + 1000 * at, 5.0 * at) for at in range(6 * 3600)]
    for resolution_ms, range_ in ((TEN_S, "73s"), (MINUTE, "10m"), (HOUR, "5m"), (HOUR, "100m")):
        for step_ms in (7_000, 61_000, 599_999):
            found = from_parts(
                f"rate(x_total[{range_}])",
                [(resolution_ms, samples)],
                START_MS + 4 * step_ms,
                step_ms,
            )
            assert found.values == pytest.approx(np.full((1, 5), 5.0), rel=1e-9)


def test_old_minutes_of_which_only_hours_are_left_make_a_line_without_holes() -> None:
    samples = [(START_MS - 2 * HOUR + 1000 * at, float(at % 60)) for at in range(1, 4 * 3600)]
    found = from_parts("x_total", [(HOUR, samples)], START_MS + HOUR, 10 * MINUTE)
    assert not np.isnan(found.values).any()
    assert found.values[0, 0] == samples[2 * 3600 - 1][1]
    assert found.values[0, 1:6] == pytest.approx(29.5)
    assert found.low is not None
    assert found.high is not None
    assert (found.low[0, 1:6].tolist(), found.high[0, 1:6].tolist()) == ([0.0] * 5, [59.0] * 5)


def test_buckets_between_two_steps_are_one_row_with_their_least_and_greatest() -> None:
    times = np.arange(START_MS - DAY + MINUTE, START_MS + 2 * DAY + 1, MINUTE)
    values = (np.arange(len(times)) % 977).astype(np.float64)
    steps_ms = np.array([START_MS, START_MS + DAY])
    gauge = shapes.Gauge(steps_ms, LOOKBACK_MS)
    [(seen_ms, last, low, high)] = gauge.pieces(roll(times, values, HOUR))
    assert seen_ms.tolist() == [START_MS, START_MS + DAY, START_MS + 2 * DAY]
    assert last.tolist() == values[[1439, 2879, 4319]].tolist()
    days = values.reshape(3, 1440)
    assert low.tolist() == days.min(axis=1).tolist()
    assert high.tolist() == days.max(axis=1).tolist()


def test_a_spike_of_one_second_is_seen_in_a_year() -> None:
    samples = [(START_MS + 600_000 * at, 1.0) for at in range(365 * 24 * 6)]
    spike = START_MS + 200 * DAY + 12_345_000
    samples = sorted([*samples, (spike, 99.0), (spike + 1000, 1.0)])
    found = from_parts("x_total", [(HOUR, samples)], START_MS + 360 * DAY, 12 * HOUR)
    assert np.nanmax(found.values) == 1.0
    assert found.high is not None
    [at] = np.flatnonzero(found.high[0] == 99.0)
    assert found.times[at] - 12 * HOUR < spike <= found.times[at]
