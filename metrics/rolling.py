"""Rolling up: chunks of samples are summed up into buckets of 10 s, 1 min and 1 h.

The row of a chunk is the queue: `rolled` is false until the rollups hold what the chunk holds,
and false again as soon as sealing has merged a late sample into it. A window is always rolled as
a whole, so doing it twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, itemgetter

import numpy as np
from django.db import transaction
from django.db.models import F

from metrics import chunks, codec, lease, merging, rollups, stats
from metrics.chunks import DAMAGED, SAMPLES, WINDOW_MS
from metrics.columns import Floats, Ints
from metrics.lease import Lease
from metrics.models import Chunk, Metric, Series
from metrics.rollups import RESOLUTIONS_MS, Rollup

logger = logging.getLogger(__name__)

# After the end of a window: by then most of it is sealed, and it is rolled once.
ROLL_AFTER_MS = 900_000
SLICE_CHUNKS = 4_000  # windows beside each other that are rolled apart are written twice
UNIT_ROWS = 60  # of rollups, changed in one transaction; windows beside each other share some
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
    rows: set[Place] = set()
    samples = 0
    for one in waiting:
        theirs = set(places(one.series_id, [one.start_ms]))
        if unit and (len(rows | theirs) > UNIT_ROWS or samples + one.count > UNIT_SAMPLES):
            yield unit
            unit, rows, samples = [], set(), 0
        unit.append(one)
        rows |= theirs
        samples += one.count
    if unit:
        yield unit


def places(series_id: int, starts_ms: Iterable[int]) -> list[Place]:
    """The chunks of rollups that these windows of samples lie in, finest first."""
    return [
        (resolution_ms, series_id, at_ms)
        for resolution_ms in RESOLUTIONS_MS
        for at_ms in sorted({chunks.window_of(one + 1, resolution_ms) for one in starts_ms})
    ]


def _roll(held: Lease, unit: Sequence[Waiting]) -> None:
    """Sums up these chunks' windows, in one transaction."""
    counts_growth = series({one.series_id for one in unit})
    samples, damaged = _samples([one for one in unit if one.series_id in counts_growth])
    book = Book((one.series_id, one.start_ms) for one in unit)
    for id, windows in groupby(unit, key=attrgetter("series_id")):
        there = [one for one in windows if one.id in samples]
        if there:
            line = chunks.end_to_end([samples[one.id] for one in there])
            book.add(id, [one.start_ms for one in there], *line, counter=counts_growth[id])
    rows = book.rows()
    damaged += book.damaged
    with transaction.atomic():
        held.renew()
        # Asked again: a series that was deleted meanwhile must not leave rollups behind.
        alive = series(set(counts_growth))
        if damaged:
            Chunk.objects.filter(id__in=damaged).update(resolution_ms=DAMAGED, start_ms=-F("id"))
        chunks.write([row for row in rows if row.series_id in alive])
        Chunk.objects.filter(id__in=[one.id for one in unit if one.series_id in alive]).update(
            rolled=True
        )
        orphans = [one.id for one in unit if one.series_id not in alive]
        if orphans:
            Chunk.objects.filter(id__in=orphans).delete()


def series(ids: set[int]) -> dict[int, bool]:
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
    """The chunks of rollups that these windows of samples lie in, while they are changed."""

    def __init__(self, windows: Iterable[tuple[int, int]]) -> None:
        """`windows`: (series id, start)."""
        self._stored: dict[Place, tuple[int, int, bytes]] = {}  # id, how many buckets, data
        self._rollups: dict[Place, Rollup] = {}
        self._changed: set[Place] = set()
        self.damaged: list[int] = []
        by_series: dict[int, list[int]] = {}
        for series_id, start_ms in windows:
            by_series.setdefault(series_id, []).append(start_ms)
        for resolution_ms in RESOLUTIONS_MS:
            starts = {
                chunks.window_of(one + 1, resolution_ms)
                for some in by_series.values()
                for one in some
            }
            rows = Chunk.objects.filter(
                resolution_ms=resolution_ms, series_id__in=list(by_series), start_ms__in=starts
            )
            for id, series_id, start_ms, count, data in rows.values_list(
                "id", "series_id", "start_ms", "count", "data"
            ):
                self._stored[resolution_ms, series_id, start_ms] = id, count, bytes(data)

    def add(
        self,
        series_id: int,
        starts_ms: Sequence[int],
        times: Ints,
        values: Floats,
        *,
        counter: bool,
    ) -> None:
        """Puts the samples of some windows of a series into its rollups of every resolution.

        Ascending, and all samples of these windows.
        """
        finer: Rollup | None = None
        for resolution_ms, theirs in groupby(places(series_id, starts_ms), key=itemgetter(0)):
            new = (
                rollups.roll(times, values, resolution_ms, counter)
                if finer is None
                else rollups.roll_up(finer, resolution_ms, counter)
            )
            parts = []
            for place in theirs:
                part = new.between(place[2], place[2] + WINDOW_MS[resolution_ms])
                spliced = self._rollups[place] = self._with(place, part)
                self._changed.add(place)
                parts.append(_within(spliced, starts_ms))
            finer = chunks.join(parts)

    def _with(self, place: Place, part: Rollup) -> Rollup:
        """What is known of a place, with these buckets."""
        known = self._rollups.get(place)
        if known is None and place in self._stored:
            if len(part) >= self._stored[place][1] > 0:  # of all of them, after many late samples
                counts = self._decoded(place, ("count",))
                if counts is not None and _says_all(part, counts):
                    return part
            known = self._decoded(place, rollups.COLUMNS)
        return part if known is None else splice(known, part)

    def _decoded(self, place: Place, names: Collection[str]) -> Rollup | None:
        id, _, data = self._stored[place]
        try:
            return rollups.decode(data, place[0], names)
        except ValueError as error:
            if id not in self.damaged:
                logger.error("chunk %d cannot be read and is set aside: %s", id, error)
                self.damaged.append(id)
            return None

    def rows(self) -> list[Chunk]:
        """What has changed, to be written."""
        return [self._row(*place, self._rollups[place]) for place in sorted(self._changed)]

    @staticmethod
    def _row(resolution_ms: int, series_id: int, start_ms: int, rollup: Rollup) -> Chunk:
        data = rollups.encode(rollup)
        return chunks.row(series_id, resolution_ms, start_ms, len(rollup), data)


def splice(old: Rollup, new: Rollup) -> Rollup:
    """The old rollup with the new one's buckets.

    A bucket that sums up more samples than its new one stays: those samples have expired, and
    what came in late since then is not all there was.
    """
    if not len(new) or not len(old) or old.end_ms[-1] < new.end_ms[0]:
        return chunks.join([part for part in (old, new) if len(part)] or [old])
    from_ms, to_ms = int(new.end_ms[0]) - 1, int(new.end_ms[-1])
    was = old.between(from_ms, to_ms)
    if len(was) and not _says_all(new, was):
        joined = chunks.join((was, new))
        order = np.lexsort((joined.count, joined.end_ms))
        ends = joined.end_ms[order]
        kept = order[np.append(ends[1:] != ends[:-1], True)]
        new = Rollup(old.resolution_ms, *(column[kept] for column in joined.columns()))
    return rollups.merge(old, new, from_ms, to_ms)


def _says_all(new: Rollup, was: Rollup) -> bool:
    """Whether each of the buckets is there anew, and sums up as many samples or more."""
    at = np.minimum(np.searchsorted(new.end_ms, was.end_ms), len(new) - 1)
    same = new.end_ms[at] == was.end_ms
    return bool((same & (new.count[at] >= was.count)).all())


def _within(rollup: Rollup, starts_ms: Sequence[int]) -> Rollup:
    """The buckets in these windows of samples."""
    first_ms, end_ms = starts_ms[0], starts_ms[-1] + WINDOW_MS[SAMPLES]
    found = rollup.between(first_ms, end_ms)
    if (end_ms - first_ms) // WINDOW_MS[SAMPLES] == len(starts_ms):
        return found
    mine = np.isin(merging.windows_of(found.end_ms), starts_ms)
    return Rollup(found.resolution_ms, *(column[mine] for column in found.columns()))
