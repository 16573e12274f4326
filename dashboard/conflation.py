"""Several updates of a query in one: what somebody who reads slowly has missed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.binary_frames import UPDATE, Grid
from metrics.columns import Floats


def merge(updates: Sequence[Grid], most_bytes: int) -> Grid | None:
    """One update that leads to the same picture as `updates`, in order, do.

    Of several columns with the same time the newest counts. Rows that an older update did not
    know yet are NaN in its columns. None when it would have more than `most_bytes`: a snapshot
    is the better answer then.
    """
    rows = max(len(one.values) for one in updates)
    times = np.concatenate([one.times for one in updates])
    # The last column of each time, in the order of time.
    kept_times, from_behind = np.unique(times[::-1], return_index=True)
    kept = len(times) - 1 - from_behind
    banded = any(one.band is not None for one in updates)
    if 8 * rows * len(times) * (3 if banded else 1) > most_bytes:
        return None
    values = _side_by_side([one.values for one in updates], rows)[:, kept]
    band = None
    if banded:
        low = [one.band[0] if one.band else one.values for one in updates]
        high = [one.band[1] if one.band else one.values for one in updates]
        band = _side_by_side(low, rows)[:, kept], _side_by_side(high, rows)[:, kept]
    added = [line for one in updates for line in one.added]
    return Grid(UPDATE, kept_times, values, added, updates[-1].step_ms, band)


def _side_by_side(blocks: Sequence[Floats], rows: int) -> Floats:
    joined = np.full((rows, sum(block.shape[1] for block in blocks)), np.nan)
    column = 0
    for block in blocks:
        joined[: len(block), column : column + block.shape[1]] = block
        column += block.shape[1]
    return joined
