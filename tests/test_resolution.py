"""Which resolution a query reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.chunks import RESOLUTIONS_MS, SAMPLES
from metrics.resolution import choose, instead_of

TEN_S, MINUTE, HOUR = RESOLUTIONS_MS[1:]
DAY = 24 * HOUR
LOOKBACK_MS = 5 * MINUTE
END_MS = 1_790_035_200_000  # a full day

assert END_MS % DAY == 0


@pytest.mark.parametrize(
    ("step_ms", "end_ms", "chosen"),
    [
        (1000, END_MS, SAMPLES),
        (TEN_S, END_MS, TEN_S),
        (TEN_S, END_MS + 1000, SAMPLES),  # steps within buckets, and only one bucket a step
        (15_000, END_MS, SAMPLES),
        (20_000, END_MS + 1, TEN_S),  # not exact, but the value is at most half a step old
        (MINUTE, END_MS, MINUTE),
        (90_000, END_MS, TEN_S),
        (12 * HOUR, END_MS, HOUR),
        (6 * HOUR, END_MS + MINUTE, MINUTE),
        (6 * HOUR, END_MS + 1, MINUTE),  # an hour's last value would be older than the lookback
        (8 * HOUR, END_MS + 1, HOUR),  # but its mean will do: it is a small part of the step
        (31_536_000, END_MS, HOUR),  # a year in 1,000 steps
        (7 * DAY, END_MS, HOUR),
    ],
)
def test_values_are_read_as_coarse_as_steps_allow(step_ms: int, end_ms: int, chosen: int) -> None:
    assert choose(step_ms, end_ms, 0, LOOKBACK_MS) == chosen


@pytest.mark.parametrize(
    ("step_ms", "range_ms", "end_ms", "chosen"),
    [
        (1000, MINUTE, END_MS, SAMPLES),
        (TEN_S, MINUTE, END_MS, TEN_S),
        (MINUTE, MINUTE, END_MS, MINUTE),
        (12 * HOUR, 5 * MINUTE, END_MS, MINUTE),
        (12 * HOUR, HOUR, END_MS, HOUR),
        (12 * HOUR, 25_000, END_MS, SAMPLES),
        (12 * HOUR, 45_000, END_MS, TEN_S),
        (MINUTE, 30_000, END_MS, TEN_S),
        (21_600, MINUTE, END_MS + 7, TEN_S),
        (DAY, 4 * HOUR, END_MS + 1, HOUR),
        (DAY, 3 * HOUR, END_MS + 1, MINUTE),
    ],
)
def test_ranges_are_read_as_coarse_as_they_allow(
    step_ms: int, range_ms: int, end_ms: int, chosen: int
) -> None:
    assert choose(step_ms, end_ms, range_ms, LOOKBACK_MS) == chosen


@given(st.integers(1, 10**9), st.integers(0, 10**12), st.integers(0, 10**9), st.integers(1, 10**8))
def test_the_chosen_one_is_finer_than_what_is_asked_for(
    step_ms: int, end_ms: int, range_ms: int, lookback_ms: int
) -> None:
    chosen = choose(step_ms, end_ms, range_ms, lookback_ms)
    assert chosen in RESOLUTIONS_MS
    assert chosen <= step_ms
    assert chosen <= range_ms or not range_ms


def test_what_is_gone_is_looked_for_coarser_and_then_finer() -> None:
    assert instead_of(SAMPLES) == (TEN_S, MINUTE, HOUR)
    assert instead_of(MINUTE) == (HOUR, TEN_S, SAMPLES)
    assert instead_of(HOUR) == (MINUTE, TEN_S, SAMPLES)
