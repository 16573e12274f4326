"""Rolling up: chunks of samples are summed up into buckets of 10 s, 1 min and 1 h.

The row of a chunk is the queue: `rolled` is false until the rollups hold what the chunk holds,
and false again as soon as sealing has merged a late sample into it. A window is always rolled as
a whole, so doing it twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from django.db import transaction
from django.db.models import F

from metrics import chunks, codec, lease, rollups, stats
from metrics.chunks import DAMAGED, SAMPLES, WINDOW_MS
from metrics.columns import Floats, Ints
from metrics.lease import Lease
from metrics.models import Chunk, Metric, Series
from metrics.rollups import RESOLUTIONS_MS, Rollup

logger = logging.getLogger(__name__)

# After the end of a window: by then most of it is sealed, and it is rolled once.
ROLL_AFTER_MS = 900_000
SLICE_CHUNKS = 1_000
UNIT_CHUNKS = 20  # one transaction: they change up to 60 chunks of rollups
UNIT_SAMPLES = 1_000_000

Samples = tuple[Ints, Floats]
Place = tuple[int, int, int]  # (resolution, series id, window's start)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A chunk of samples that is not rolled."""

    id: int
    series_id: int
    start_ms: int
    count: int


def roll_slice(now_ms: int, held: Lease | None = None) -> int:
    """Rolls up some of the chunks whose windows are over, without a pause; how many.

    Takes the keeper's lease unless it is given; raises LeaseLost when another process has it.
    """
    rolled = 0
    with lease.holding(held) as own:
        for count in roll(own, now_ms):
            rolled += count
    return rolled


def roll(held: Lease, now_ms: int) -> Generator[int, None, None]:
    """roll_slice() in small pieces: whoever drives it may pause at each, or end there."""
    for unit in _units(_choose(now_ms)):
        _roll(held, unit)
        stats.inc("rolled_chunks_total", len(unit))
        yield len(unit)


def _choose(now_ms: int) -> list[Waiting]:
    """Some chunks that wait, oldest windows first; in order of series and time."""
    due = Chunk.objects.filter(
        resolution_ms=SAMPLES, rolled=False, end_ms__lte=now_ms - ROLL_AFTER_MS
    )
    rows = due.order_by("end_ms").values_list("id", "series_id", "start_ms", "count")
    return sorted(
        (Waiting(*row) for row in rows[:SLICE_CHUNKS]),
        key=lambda one: (one.series_id, one.start_ms),
    )


def _units(waiting: Sequence[Waiting]) -> Iterator[list[Waiting]]:
    unit: list[Waiting] = []
    samples = 0
    for one in waiting:
        if unit and (len(unit) >= UNIT_CHUNKS or samples + one.count > UNIT_SAMPLES):
            yield unit
            unit, samples = [], 0
        unit.append(one)
        samples += one.count
    if unit:
        yield unit


def _roll(held: Lease, unit: Sequence[Waiting]) -> None:
    """Sums up these chunks' windows, in one transaction."""
    counts_growth = _series({one.series_id for one in unit})
    samples, damaged = _samples([one for one in unit if one.series_id in counts_growth])
    book = Book(unit)
    for one in unit:
        if one.id in samples:
            book.add(one, *samples[one.id], counter=counts_growth[one.series_id])
    rows = book.rows()
    damaged += book.damaged
    with transaction.atomic():
        held.renew()
        # Asked again: a series that was deleted meanwhile must not leave rollups behind.
        alive = _series(set(counts_growth))
        if damaged:
            Chunk.objects.filter(id__in=damaged).update(resolution_ms=DAMAGED, start_ms=-F("id"))
        chunks.write([row for row in rows if row.series_id in alive])
        Chunk.objects.filter(id__in=[one.id for one in unit if one.series_id in alive]).update(
            rolled=True
        )
        orphans = [one.id for one in unit if one.series_id not in alive]
        if orphans:
            Chunk.objects.filter(id__in=orphans).delete()


def _series(ids: set[int]) -> dict[int, bool]:
    """Those of these series that exist, and whether somebody may ask what they grew."""
    rows = Series.objects.filter(id__in=ids).values_list("id", "metric__kind")
    return {id: kind != Metric.Kind.GAUGE for id, kind in rows}


def _samples(unit: Sequence[Waiting]) -> tuple[dict[int, Samples], list[int]]:
    """The samples by chunk, and the chunks that cannot be read."""
    found: dict[int, Samples] = {}
    damaged: list[int] = []
    rows = Chunk.objects.filter(id__in=[one.id for one in unit]).values_list("id", "data")
    for id, data in rows:
        try:
            found[id] = codec.decode(bytes(data))
        except ValueError as error:
            logger.error("chunk %d cannot be read and is set aside: %s", id, error)
            damaged.append(id)
    return found, damaged


class Book:
    """The chunks of rollups that the windows of `unit` lie in, while they are changed."""

    def __init__(self, unit: Sequence[Waiting]) -> None:
        self._rollups: dict[Place, Rollup] = {}
        self._changed: set[Place] = set()
        self.damaged: list[int] = []
        ids = sorted({one.series_id for one in unit})
        for resolution_ms in RESOLUTIONS_MS:
            starts = {chunks.window_of(one.start_ms + 1, resolution_ms) for one in unit}
            rows = Chunk.objects.filter(
                resolution_ms=resolution_ms, series_id__in=ids, start_ms__in=starts
            )
            for id, series_id, start_ms, data in rows.values_list(
                "id", "series_id", "start_ms", "data"
            ):
                place = (resolution_ms, series_id, start_ms)
                try:
                    self._rollups[place] = rollups.decode(bytes(data), resolution_ms)
                except ValueError as error:
                    logger.error("chunk %d cannot be read and is set aside: %s", id, error)
                    self.damaged.append(id)

    def add(self, window: Waiting, times: Ints, values: Floats, *, counter: bool) -> None:
        """Puts a window's samples into the rollups of every resolution."""
        start_ms = window.start_ms
        end_ms = start_ms + WINDOW_MS[SAMPLES]
        finer: Rollup | None = None
        for resolution_ms in RESOLUTIONS_MS:
            new = (
                rollups.roll(times, values, resolution_ms, counter)
                if finer is None
                else rollups.roll_up(finer, resolution_ms, counter)
            )
            place = (
                resolution_ms,
                window.series_id,
                chunks.window_of(start_ms + 1, resolution_ms),
            )
            old = self._rollups.get(place)
            spliced = new if old is None else splice(old, new, start_ms, end_ms)
            self._rollups[place] = spliced
            self._changed.add(place)
            finer = spliced.between(start_ms, end_ms)

    def rows(self) -> list[Chunk]:
        """What has changed, to be written."""
        return [self._row(*place, self._rollups[place]) for place in sorted(self._changed)]

    @staticmethod
    def _row(resolution_ms: int, series_id: int, start_ms: int, rollup: Rollup) -> Chunk:
        data = rollups.encode(rollup)
        return chunks.row(series_id, resolution_ms, start_ms, len(rollup), data)


def splice(old: Rollup, new: Rollup, from_ms: int, to_ms: int) -> Rollup:
    """The old rollup with the new one's buckets for (from_ms, to_ms].

    A bucket that sums up more samples than its new one stays: those samples have expired, and
    what came in late since then is not all there was.
    """
    was = old.between(from_ms, to_ms)
    if len(was):
        joined = chunks.join((was, new))
        order = np.lexsort((joined.count, joined.end_ms))
        ends = joined.end_ms[order]
        kept = order[np.append(ends[1:] != ends[:-1], True)]
        new = Rollup(old.resolution_ms, *(column[kept] for column in joined.columns()))
    return rollups.merge(old, new, from_ms, to_ms)
