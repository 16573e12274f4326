"""What is stored, as arrays: read() gives the samples, Stored what a query is answered from.

Both join what lies in the log with what lies in chunks; metrics.reading says how.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from django.conf import settings

from metrics import catalog, resolution
from metrics.clock import now_ms
from metrics.head import Head
from metrics.intake import FUTURE_MS
from metrics.query import EvaluationError, Selector, SeriesData
from metrics.reading import newest, rolled, samples, shapes
from metrics.reading.budget import Budget
from metrics.reading.decoding import Line
from metrics.reading.samples import read_all

__all__ = ["Stored", "last", "matching", "read", "read_all", "use_head"]

_head: Head | None = None


def use_head(head: Head | None) -> None:
    """The hub's head, for last(): saves the log a question in processes that have one."""
    global _head
    _head = head


def read(ids: Sequence[int], start_ms: int, end_ms: int) -> dict[int, Line]:
    """Times and values with start_ms < time <= end_ms of each of these series that has any.

    The samples as they were published, as far back as they are kept.
    """
    return samples.read(ids, start_ms, end_ms)


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
    """All that is stored as a source for metrics.query.evaluate(); any thread.

    Told the distance of the steps that will be evaluated, it reads samples or rollups, as
    metrics.resolution.choose() says. What is no longer kept so fine is answered by the next
    coarser rollups; then a gauge's value at a step within a bucket may be the bucket's mean, and
    a counter is taken to have grown evenly within it. Rollups of what was published as a gauge
    know of no resets: of it they tell by how much it changed. Told nothing, it reads samples.
    """

    def __init__(
        self,
        step_ms: int | None = None,
        lookback_ms: int | None = None,
        series: Sequence[catalog.Known] | None = None,
    ) -> None:
        """`series`: read these, whatever the selector says."""
        self._step_ms = step_ms
        self._series = series
        self._lookback_ms = lookback_ms or settings.LOOKBACK_SECONDS * 1000

    def select(self, selector: Selector, start_ms: int, end_ms: int) -> list[SeriesData]:
        """The selected series. Raises EvaluationError when too much would have to be read."""
        catalog.load()
        series = matching(selector) if self._series is None else self._series
        known = {one.id: one.labels for one in series}
        budget = Budget(settings.SAMPLES_PER_QUERY)
        if self._step_ms is None:
            lines = samples.read(list(known), start_ms, end_ms, budget)
            return [SeriesData(known[id], *line) for id, line in lines.items()]
        resolution_ms = resolution.choose(
            self._step_ms, end_ms, selector.range_ms, self._lookback_ms
        )
        steps_ms = np.arange(end_ms, start_ms, -self._step_ms, dtype=np.int64)[::-1]
        shape: shapes.Shape = shapes.Gauge(steps_ms, self._lookback_ms)
        if selector.range_ms:
            shape = shapes.Counter(steps_ms, selector.range_ms)
        found = rolled.read(list(known), resolution_ms, start_ms, end_ms, shape, budget)
        return [one.data(known[id]) for id, one in found.items()]


def last(ids: Iterable[int]) -> Mapping[int, tuple[int, float]]:
    """(time, value) of the newest sample of each series whose samples are still kept."""
    wanted = list(ids)
    if _head is not None:
        heads = {id: _head.last(id) for id in wanted}
        found = {id: one for id, one in heads.items() if one is not None}
    else:
        now = now_ms()
        since_ms = now - settings.LOOKBACK_SECONDS * 1000
        lines = read(wanted, since_ms, now + FUTURE_MS) if wanted else {}
        found = {id: (int(times[-1]), float(values[-1])) for id, (times, values) in lines.items()}
    return found | newest.sealed([id for id in wanted if id not in found])
