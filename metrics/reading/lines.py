"""Times and values of one series: putting such lines together and cutting them; pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metrics.columns import Columns
from metrics.reading.decoding import Line


def split(columns: Columns) -> dict[int, Line]:
    """Samples sorted by series and time, by series; views, not copies."""
    if not len(columns):
        return {}
    starts = np.flatnonzero(np.append(True, columns.series[1:] != columns.series[:-1]))
    ends = np.append(starts[1:], len(columns))
    return {
        id: (columns.times[start:end], columns.values[start:end])
        for id, start, end in zip(
            columns.series[starts].tolist(), starts.tolist(), ends.tolist(), strict=True
        )
    }


def merge(old: Line, new: Line) -> Line:
    """Both, in order of time; where they have the same time the new one's value."""
    if not len(old[0]) or not len(new[0]):
        return old if len(old[0]) else new
    times = np.concatenate((old[0], new[0]))
    values = np.concatenate((old[1], new[1]))
    if new[0][0] > old[0][-1]:
        return times, values
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    last = np.append(times[1:] != times[:-1], True)
    return times[last], values[last]


def between(line: Line, start_ms: int, end_ms: int) -> Line:
    """The samples with start_ms < time <= end_ms; views, not copies."""
    times, values = line
    begin, end = np.searchsorted(times, (start_ms, end_ms), side="right").tolist()
    return times[begin:end], values[begin:end]


def end_to_end(lines: Sequence[Line]) -> Line:
    """Lines that follow each other in time, as one."""
    if len(lines) == 1:
        return lines[0]
    return np.concatenate([times for times, _ in lines]), np.concatenate([v for _, v in lines])
