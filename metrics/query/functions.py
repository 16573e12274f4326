"""What steps see of the samples: newest values, extremes, increases; all series at once."""

from __future__ import annotations

import numpy as np

from metrics.query.rows import Band
from metrics.query.windows import Floats, Ints, Samples

# Samples this many average distances from the border of a window count as reaching it.
_REACHES_BORDER = 1.1


def newest(samples: Samples, steps_ms: Ints, lookback_ms: int) -> Floats:
    """Per row and step the newest value in (step - lookback, step], NaN where there is none."""
    return _newest(samples, samples.count_until(steps_ms), steps_ms, lookback_ms)


def newest_and_extremes(
    samples: Samples, steps_ms: Ints, step_ms: int, lookback_ms: int
) -> tuple[Floats, Band]:
    """What newest() gives, and the least and the greatest since the step before.

    That is in (step - step_ms, step], for steps of that distance. The newest value is one of
    them: it may be older than that and still count.
    """
    borders = samples.count_until(np.append(steps_ms[0] - step_ms, steps_ms))
    begin, end = borders[:, :-1], borders[:, 1:]
    values = _newest(samples, end, steps_ms, lookback_ms)
    empty = begin == end
    extremes = []
    for how, each in ((np.minimum, samples.low()), (np.maximum, samples.high())):
        # One more, which no window holds: the last window may end behind the last sample.
        found = how.reduceat(np.append(each, np.nan), borders.ravel()).reshape(borders.shape)
        extremes.append(np.where(empty, np.nan, found[:, :-1]))
    return values, Band(np.fmin(values, extremes[0]), np.fmax(values, extremes[1]))


def _newest(samples: Samples, following: Ints, steps_ms: Ints, lookback_ms: int) -> Floats:
    index = np.maximum(following - 1, 0)
    found = following > samples.starts[:-1, np.newaxis]
    found &= samples.times[index] > steps_ms - lookback_ms
    return np.where(found, samples.values[index], np.nan)


def increase(samples: Samples, steps_ms: Ints, range_ms: int) -> Floats:
    """Per row and step what a counter grew in (step - range, step], extrapolated to the borders.

    NaN where the window holds fewer than two samples. A value lower than the one before it is a
    counter that began again at zero. This is Prometheus's definition, float for float but for
    the order of additions.
    """
    begin, end = samples.count_until(steps_ms - range_ms), samples.count_until(steps_ms)
    result = np.full(begin.shape, np.nan)
    enough = end - begin >= 2
    if not enough.any():
        return result
    first, last = begin[enough], end[enough] - 1
    steps = np.broadcast_to(steps_ms, begin.shape)[enough]
    grown = samples.values[last] - samples.values[first] + _lost_in_resets(samples, first, last)

    sampled_s = (samples.times[last] - samples.times[first]) / 1000
    between_s = sampled_s / samples.distances(first, last)
    to_start_s = (samples.times[first] - (steps - range_ms)) / 1000
    to_end_s = (steps - samples.times[last]) / 1000
    to_start_s = np.where(to_start_s >= between_s * _REACHES_BORDER, between_s / 2, to_start_s)
    to_end_s = np.where(to_end_s >= between_s * _REACHES_BORDER, between_s / 2, to_end_s)

    # A counter is never negative: do not extrapolate back beyond where it would have been zero.
    first_value = samples.values[first]
    rising = (grown > 0) & (first_value >= 0)
    to_zero_s = sampled_s * (first_value / np.where(rising, grown, 1.0))
    to_start_s = np.where(rising & (to_zero_s < to_start_s), to_zero_s, to_start_s)

    result[enough] = grown * ((sampled_s + to_start_s + to_end_s) / sampled_s)
    return result


def rate(samples: Samples, steps_ms: Ints, range_ms: int) -> Floats:
    """Per row and step the increase per second of the range."""
    return increase(samples, steps_ms, range_ms) / (range_ms / 1000)


def _lost_in_resets(samples: Samples, first: Ints, last: Ints) -> Floats:
    """For windows of samples ``first`` to ``last``: the sum of the values just before resets."""
    lost = samples.lost()
    resets = np.flatnonzero(lost)
    begin = np.searchsorted(resets, first, side="right")
    end = np.searchsorted(resets, last, side="right")
    return _sums_between(lost[resets], begin, end)


def _sums_between(values: Floats, begin: Ints, end: Ints) -> Floats:
    """``values[b:e].sum()`` for many b and e, from running totals.

    The rounding error of every addition is kept in a total of its own: a difference of two
    running totals is then right to the last digits even after a huge value has passed, and does
    not depend on where the values begin.
    """
    infinite = ~np.isfinite(values)
    finite = np.where(infinite, 0.0, values)
    totals = np.concatenate(([0.0], np.cumsum(finite)))
    before = totals[:-1]
    added = totals[1:] - before
    errors = (before - (totals[1:] - added)) + (finite - added)
    error_totals = np.concatenate(([0.0], np.cumsum(errors)))
    high, low = totals[end], totals[begin]
    difference = high - low
    taken = difference - high
    rounding = (high - (difference - taken)) - (low + taken)
    sums = difference + (rounding + (error_totals[end] - error_totals[begin]))
    infinities = np.concatenate(([0], np.cumsum(infinite)))
    return np.where(infinities[end] > infinities[begin], np.inf, sums)
