"""Which resolution a query reads: how coarse it may be, and what that costs in truth; pure."""

from __future__ import annotations

from metrics.chunks import RESOLUTIONS_MS, SAMPLES

COARSEST_FIRST_MS: tuple[int, ...] = tuple(reversed(RESOLUTIONS_MS[1:]))
_PARTS_OF_RANGE = 4  # of a range that no buckets fill exactly, this many at least lie in it
_PARTS_OF_STEP = 2
_SMALL_PART = 8  # of a step: buckets so much shorter than that may be longer than the lookback


def choose(step_ms: int, end_ms: int, range_ms: int, lookback_ms: int) -> int:
    """The resolution for steps that end at `end_ms`: samples (0) or buckets of so many ms.

    `range_ms` is the selector's range, 0 for an instant selector. The coarsest resolution is
    taken of which one of these is true:

    - Every step and every range is made of whole buckets: the resolution divides `step_ms`,
      `end_ms` and `range_ms`. Nothing is lost: an instant selector's newest sample is the last
      of the bucket that ends at the step or before, at its own time; what a counter grew in a
      range is what it grew in the range's buckets and between them.
    - Instant selector: two buckets fit into a step and one into the lookback. The value is a
      true one, but may be older by up to one bucket than the newest at the step.
    - Instant selector: eight buckets fit into a step. At a step within a bucket that is longer
      than the lookback the value is the bucket's mean (see metrics.reading.shapes.Gauge).
    - Range selector: two buckets fit into a step and four into the range. Inside of the buckets
      in which a range begins and ends a counter is taken to grow evenly.

    Charts ask for whole multiples of a round step, so all but their finest are exact.
    """
    for resolution_ms in COARSEST_FIRST_MS:
        if not (step_ms % resolution_ms or end_ms % resolution_ms or range_ms % resolution_ms):
            return resolution_ms
        most_ms = max(lookback_ms, step_ms // _SMALL_PART)
        if range_ms:
            most_ms = range_ms // _PARTS_OF_RANGE
        if resolution_ms <= min(step_ms // _PARTS_OF_STEP, most_ms):
            return resolution_ms
    return SAMPLES


def instead_of(resolution_ms: int) -> tuple[int, ...]:
    """What to read where this resolution is no longer kept: the next coarser ones, then finer."""
    at = RESOLUTIONS_MS.index(resolution_ms)
    return (*RESOLUTIONS_MS[at + 1 :], *reversed(RESOLUTIONS_MS[:at]))
