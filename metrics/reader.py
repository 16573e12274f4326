"""read(): the samples of series over a range, from the log.

Sealed chunks and rollups will be read here too; callers see one answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from django.conf import settings

from metrics import catalog, log
from metrics.clock import now_ms
from metrics.columns import Columns, Floats, Ints
from metrics.head import Head
from metrics.query import EvaluationError, Selector, SeriesData

_head: Head | None = None


def use_head(head: Head | None) -> None:
    """The hub's head, for last(): saves the log a question in processes that have one."""
    global _head
    _head = head


def read(ids: Sequence[int], start_ms: int, end_ms: int) -> dict[int, tuple[Ints, Floats]]:
    """Times and values with start_ms < time <= end_ms of each of these series that has any."""
    return {
        id: (times, values) for id, times, values in _split(_newest_wins(ids, start_ms, end_ms))
    }


def read_all(start_ms: int, end_ms: int) -> Columns:
    """Every sample of every series with start_ms < time <= end_ms, sorted by series and time."""
    return _newest_wins(None, start_ms, end_ms)


def _newest_wins(ids: Sequence[int] | None, start_ms: int, end_ms: int) -> Columns:
    parts: list[Columns] = []
    batches: list[Ints] = []
    wanted = _lookup(ids) if ids is not None else None
    for id, columns in log.read(start_ms, end_ms):
        inside = (columns.times > start_ms) & (columns.times <= end_ms)
        if wanted is not None:
            inside &= wanted[np.minimum(columns.series, len(wanted) - 1)]
        if inside.any():
            part = columns.take(inside)
            parts.append(part)
            batches.append(np.full(len(part), id))
    if not parts:
        return Columns.of((), (), ())
    joined = Columns.join(parts)
    order = np.lexsort((np.concatenate(batches), joined.times, joined.series))
    joined = joined.take(order)
    same = (joined.series[1:] == joined.series[:-1]) & (joined.times[1:] == joined.times[:-1])
    return joined.take(np.append(~same, True)) if same.any() else joined


def _lookup(ids: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """True at each wanted id; its last place, where larger ids end up, is False."""
    wanted = np.zeros(max(ids, default=0) + 2, np.bool_)
    wanted[np.array(ids, np.int64)] = True
    return wanted


def _split(columns: Columns) -> Iterable[tuple[int, Ints, Floats]]:
    if not len(columns):
        return
    starts = np.flatnonzero(np.append(True, columns.series[1:] != columns.series[:-1]))
    for start, end in zip(starts, np.append(starts[1:], len(columns)), strict=True):
        yield int(columns.series[start]), columns.times[start:end], columns.values[start:end]


def matching(selector: Selector) -> list[catalog.Known]:
    """The known series a selector picks. Raises EvaluationError when they are too many."""
    name = selector.metric_name
    candidates = catalog.by_name(name) if name is not None else catalog.everything()
    found = [known for known in candidates if selector.matches(known.labels)]
    if len(found) > settings.SERIES_PER_QUERY:
        raise EvaluationError(
            f"the expression picks {len(found):,} series, at most {settings.SERIES_PER_QUERY:,} "
            "can be read: narrow it with label matchers"
        )
    return found


class Stored:
    """The log as a source for metrics.query.evaluate(); any thread."""

    def select(self, selector: Selector, start_ms: int, end_ms: int) -> list[SeriesData]:
        catalog.load()
        found = {known.id: known for known in matching(selector)}
        samples = log.count(start_ms, end_ms)
        if samples > settings.SAMPLES_PER_QUERY:
            raise EvaluationError(
                f"the range holds {samples:,} samples, at most {settings.SAMPLES_PER_QUERY:,} "
                "can be read: ask for a shorter one"
            )
        arrays = read(list(found), start_ms, end_ms)
        return [
            SeriesData(found[id].labels, times, values) for id, (times, values) in arrays.items()
        ]


def last(ids: Iterable[int]) -> Mapping[int, tuple[int, float]]:
    """(time, value) of the newest sample of each series that has one lately."""
    wanted = list(ids)
    if _head is not None:
        found = {id: _head.last(id) for id in wanted}
        return {id: newest for id, newest in found.items() if newest is not None}
    now = now_ms()
    arrays = read(wanted, now - settings.LOOKBACK_SECONDS * 1000, now + 600_000) if wanted else {}
    return {id: (int(times[-1]), float(values[-1])) for id, (times, values) in arrays.items()}
