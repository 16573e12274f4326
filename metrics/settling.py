"""Settling: late samples are merged into their chunks, which are rolled up in the same breath.

All that waits of a series is settled together, oldest windows first, so that windows that lie
beside each other share the work on their rollups. A transaction writes some chunks and their
rollups; the last one of a series deletes the rows in which its samples waited. Killed before, all
of them are merged once more, which changes nothing: samples are a set.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np
from django.db.models import Min, Q, Sum

from metrics import chunks, lease, merging, rolling, stats
from metrics.chunks import LATE, Place
from metrics.lease import Lease
from metrics.merging import Samples, UnitSize
from metrics.models import Chunk

WAIT_MS = 2 * 86_400_000  # no sample waits longer: docs/decisions/0008 says why so long
MOST_WAITING = 250_000  # samples of a series: reading all of them takes some 20 ms
CLOCK_MS = 60_000  # begun later than so far ahead: the clock was set back since
SLICE_WINDOWS = 1_000
STEP_SAMPLES = 1_000_000  # of one series in memory at a time
FIRST_CHUNKS = 12  # the first transaction's, when nobody knows yet how large they are


def settle_slice(now_ms: int, held: Lease | None = None) -> int:
    """Settles some of the late samples that are due, without a pause; how many chunks changed.

    Takes the keeper's lease unless it is given; raises LeaseLost when another process has it.
    """
    with lease.holding(held) as own:
        return sum(settle(own, now_ms))


def settle(held: Lease, now_ms: int) -> Generator[int, None, None]:
    """settle_slice() in small pieces: whoever drives it may pause at each, or end there."""
    unit = _Unit(held)
    windows = 0
    for id in _due(now_ms):
        rows, line, damaged = _oldest(id)
        if damaged:
            merging.store(held, [], damaged)
        for place, samples in _by_window(id, line):
            yield from unit.add(place, samples)
            windows += 1
        unit.ends(rows)
        if windows >= SLICE_WINDOWS:
            break
    if not unit.is_empty:
        yield unit.write()


class _Unit:
    """What one transaction settles: samples by chunk, and the rows of which nothing is left."""

    def __init__(self, held: Lease) -> None:
        self._held = held
        self._size = UnitSize(FIRST_CHUNKS)
        self._samples: dict[Place, Samples] = {}
        self._settled: list[int] = []
        self._rollups: set[rolling.Place] = set()

    @property
    def is_empty(self) -> bool:
        return not self._samples and not self._settled

    def add(self, place: Place, samples: Samples) -> Iterator[int]:
        """Takes a chunk's samples; yields write() when they are too many with the others."""
        theirs = set(rolling.places(place[0], [place[1]]))
        if self._samples and (
            len(self._samples) >= self._size.chunks
            or len(self._rollups | theirs) > rolling.UNIT_ROWS
        ):
            yield self.write()
        self._samples[place] = samples
        self._rollups |= theirs

    def ends(self, rows: Sequence[int]) -> None:
        """All samples of these rows have been added."""
        self._settled += rows

    def write(self) -> int:
        """Writes the chunks and their rollups; how many chunks changed."""
        samples, self._samples, self._rollups = self._samples, {}, set()
        settled, self._settled = self._settled, []
        damaged: list[int] = []
        changed = merging.merged(samples, damaged)
        rows = [merging.row(place, line) for place, line in changed.items()]
        for row in rows:
            row.rolled = True
        book = rolling.Book(changed)
        counts_growth = rolling.series({id for id, _ in changed})
        for id, places in groupby(changed, key=itemgetter(0)):
            if id in counts_growth:
                windows = [start_ms for _, start_ms in places]
                line = chunks.end_to_end([changed[id, start_ms] for start_ms in windows])
                book.add(id, windows, *line, counter=counts_growth[id])
        damaged += book.damaged
        written = [*rows, *book.rows()]
        self._size.saw(len(samples), sum(len(row.data) for row in written))
        merging.store(self._held, written, damaged, settled)
        stats.inc("rolled_chunks_total", len(rows))
        return len(rows)


def _due(now_ms: int) -> list[int]:
    """The series of which late samples are to be settled, those that wait longest first."""
    rows = Chunk.objects.filter(resolution_ms=LATE).values("series_id").order_by()
    waiting = rows.annotate(begun_ms=Min("start_ms"), samples=Sum("count"))
    due = waiting.filter(
        Q(begun_ms__lte=now_ms - WAIT_MS)
        | Q(begun_ms__gt=now_ms + CLOCK_MS)
        | Q(samples__gte=MOST_WAITING)
    )
    return list(due.order_by("begun_ms").values_list("series_id", flat=True)[:SLICE_WINDOWS])


def _oldest(id: int) -> tuple[list[int], Samples, list[int]]:
    """A series' rows, the oldest of them, and their samples; and those that cannot be read."""
    known = Chunk.objects.filter(resolution_ms=LATE, series_id=id).order_by("start_ms")
    rows: list[int] = []
    lines: list[Samples] = []
    damaged: list[int] = []
    samples = 0
    for row, count, data in known.values_list("id", "count", "data").iterator(50):
        if rows and samples + count > STEP_SAMPLES:
            break
        if (line := merging.decoded(row, bytes(data), damaged)) is not None:
            rows.append(row)
            lines.append(line)
            samples += count
    return rows, chunks.newest_wins(lines), damaged


def _by_window(id: int, line: Samples) -> Sequence[tuple[Place, Samples]]:
    times, values = line
    if not len(times):
        return []
    windows = merging.windows_of(times)
    bounds = np.flatnonzero(np.concatenate(([True], windows[1:] != windows[:-1], [True])))
    return [
        ((id, int(windows[start])), (times[start:end], values[start:end]))
        for start, end in pairwise(bounds.tolist())
    ]
