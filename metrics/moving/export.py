"""Samples on their way out, piece by piece: never more in memory than a few of them.

No cursor stays open between two pieces: whoever takes them may be slow, or another thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.conf import settings
from django.db.models import Min

from metrics import chunks, rows
from metrics.columns import Floats, Ints
from metrics.models import Chunk, Series
from metrics.moving.trouble import CannotMove
from metrics.query import EvaluationError, Expression, Selector, evaluate
from metrics.query.nodes import Aggregate, Call
from metrics.query.select import NAME_LABEL
from metrics.reader import Stored
from metrics.reading import decoding, late, lines, unsealed
from metrics.reading.budget import held
from metrics.rollups import RESOLUTIONS_MS
from metrics.rows import Known

SERIES_AT_ONCE = 1_000
CHUNKS_AT_ONCE = 200
UNSEALED_AT_ONCE = 4_000_000  # samples of the log, and late ones, in memory: about 100 MB
STEPS_AT_ONCE = 500
# An evaluation reads the window before its first step too: at least so many steps share it.
WINDOWS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """Some samples of one series, ascending; `labels` without the name, which may be empty."""

    metric: str
    labels: Mapping[str, str]
    times: Ints
    values: Floats


@dataclass(frozen=True, slots=True)
class Export:
    """What goes out: `labels` are the names of all labels any piece may have, sorted."""

    labels: list[str]
    series: int
    pieces: Iterator[Piece]


def of_samples(selector: Selector, start_ms: int, end_ms: int) -> Export:
    """The samples of the selected series with start_ms <= time < end_ms, as they are kept.

    Series by series. Those that are made meanwhile are not in it.
    """
    names: set[str] = set()
    count = last = 0
    for known in _selected(selector, 1 << 62):
        names |= known.labels.keys()
        count, last = count + 1, known.id
    return Export(
        sorted(names - {NAME_LABEL}), count, _samples(selector, last, start_ms - 1, end_ms - 1)
    )


def of_steps(expression: Expression, start_ms: int, end_ms: int, step_ms: int) -> Export:
    """An expression's values at the multiples of the step with start_ms <= time < end_ms.

    Some hundred steps at a time, and of each part series by series. Old parts are answered from
    rollups. `pieces` may raise EvaluationError.
    """
    names: set[str] = set()
    count = 0
    for selector in expression.selectors:
        for known in _selected(selector, 1 << 62):
            names |= known.labels.keys()
            count += 1
    root = expression.root
    if isinstance(root, Aggregate) and not root.without:
        names &= set(root.grouping)
    pieces = _steps(expression, start_ms, end_ms, step_ms)
    return Export(sorted(names - {NAME_LABEL}), count, pieces)


def is_selector(expression: Expression) -> bool:
    """Whether it names series and nothing else, so that their samples can be exported."""
    root = expression.root
    return not isinstance(root, Call | Aggregate) and not root.range_ms


def only_rollups_before(selector: Selector) -> bool:
    """Whether (some of) the selected series have rollups older than their oldest sample."""
    ids = [known.id for _, known in zip(range(500), _selected(selector, 1 << 62), strict=False)]
    found = Chunk.objects.filter(series_id__in=ids)
    since_ms = found.filter(resolution_ms=chunks.SAMPLES).aggregate(at=Min("start_ms"))["at"]
    older = found.filter(resolution_ms__in=RESOLUTIONS_MS)
    return (older if since_ms is None else older.filter(end_ms__lte=since_ms)).exists()


def _selected(selector: Selector, last_id: int) -> Iterator[Known]:
    """The series a selector picks, up to this id, in order of their ids."""
    wanted = Series.objects.filter(id__lte=last_id).order_by("id")
    if selector.metric_name is not None:
        wanted = wanted.filter(metric__name=selector.metric_name)
    after = 0
    while True:
        part = [one.known for _, one in rows.read(wanted.filter(id__gt=after)[:SERIES_AT_ONCE])]
        yield from (known for known in part if selector.matches(known.labels))
        if len(part) < SERIES_AT_ONCE:
            return
        after = part[-1].id


def _samples(selector: Selector, last_id: int, after_ms: int, until_ms: int) -> Iterator[Piece]:
    group: list[Known] = []
    at_once = _series_at_once(after_ms, until_ms)
    for known in _selected(selector, last_id):
        group.append(known)
        if len(group) == at_once:
            yield from _group(group, after_ms, until_ms)
            group = []
    if group:
        yield from _group(group, after_ms, until_ms)


def _series_at_once(after_ms: int, until_ms: int) -> int:
    """So many that what is in no chunk fits, supposing that all series have equally much."""
    waiting = held(unsealed.batches(after_ms, until_ms)) + late.rows(after_ms).held()
    if waiting <= UNSEALED_AT_ONCE:
        return SERIES_AT_ONCE
    return max(1, min(SERIES_AT_ONCE, Series.objects.count() * UNSEALED_AT_ONCE // waiting))


def _group(group: Sequence[Known], after_ms: int, until_ms: int) -> Iterator[Piece]:
    """The log first, chunks last: what is sealed meanwhile is seen twice, never not at all."""
    ids = [known.id for known in group]
    fresh = lines.split(unsealed.read(ids, after_ms, until_ms))
    fresh = late.under(fresh, late.read(ids, after_ms, until_ms))
    for known in group:
        labels = {name: value for name, value in known.labels.items() if name != NAME_LABEL}
        line = fresh.pop(known.id, decoding.NOTHING)
        for times, values in _joined(known.id, line, after_ms, until_ms):
            yield Piece(known.name, labels, times, values)


def _joined(id: int, fresh: decoding.Line, after_ms: int, until_ms: int) -> Iterator[decoding.Line]:
    """A series' chunks in order of time, each with the unsealed samples in and before it."""
    for start_ms, data in _chunks(id, after_ms, until_ms):
        border_ms = start_ms + chunks.WINDOW_MS[chunks.SAMPLES]
        sealed = lines.between(decoding.samples((id, start_ms), data), after_ms, until_ms)
        now = lines.between(fresh, after_ms, border_ms)
        fresh = lines.between(fresh, border_ms, until_ms)
        line = lines.merge(sealed, now)
        if len(line[0]):
            yield line
    if len(fresh[0]):
        yield fresh


def _chunks(id: int, after_ms: int, until_ms: int) -> Iterator[tuple[int, bytes]]:
    at_ms = chunks.window_of(after_ms + 1, chunks.SAMPLES)
    mine = Chunk.objects.filter(resolution_ms=chunks.SAMPLES, series_id=id, start_ms__lt=until_ms)
    while True:
        found = mine.filter(start_ms__gte=at_ms).order_by("start_ms")[:CHUNKS_AT_ONCE]
        part = list(found.values_list("start_ms", "data"))
        for start_ms, data in part:
            yield start_ms, bytes(data)
        if len(part) < CHUNKS_AT_ONCE:
            return
        at_ms = part[-1][0] + 1


def _steps(expression: Expression, start_ms: int, end_ms: int, step_ms: int) -> Iterator[Piece]:
    lookback_ms = settings.LOOKBACK_SECONDS * 1000
    window_ms = expression.window_ms(lookback_ms)
    steps = min(
        settings.POINTS_PER_SERIES, max(STEPS_AT_ONCE, WINDOWS_AT_ONCE * window_ms // step_ms)
    )
    source = Stored(step_ms, lookback_ms)
    at_ms = -(-start_ms // step_ms) * step_ms
    while at_ms < end_ms:
        last_ms = min(at_ms + (steps - 1) * step_ms, (end_ms - 1) // step_ms * step_ms)
        found = evaluate(expression, source, at_ms, last_ms, step_ms, lookback_ms)
        for labels, values in zip(found.labels, found.values, strict=True):
            there = ~np.isnan(values)
            own = {name: value for name, value in labels.items() if name != NAME_LABEL}
            yield Piece(labels.get(NAME_LABEL, ""), own, found.times[there], values[there])
        at_ms = last_ms + step_ms


__all__ = ["CannotMove", "EvaluationError", "Export", "Piece", "of_samples", "of_steps"]
