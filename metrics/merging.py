"""Merging samples into the chunks of their windows, a few chunks a transaction.

Whoever does it has the keeper's lease: between reading a chunk and writing it back nobody else
may change it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from django.db import transaction
from django.db.models import F

from metrics import chunks, codec
from metrics.chunks import DAMAGED, SAMPLES, Place
from metrics.columns import Columns, Floats, Ints
from metrics.lease import Lease
from metrics.models import Chunk, Series

logger = logging.getLogger(__name__)

UNIT_CHUNKS = 100  # one transaction
UNIT_BYTES = 1_000_000

Samples = tuple[Ints, Floats]


@dataclass(slots=True)
class UnitSize:
    """How many chunks a transaction takes: fewer where they are large."""

    chunks: int = 0

    def __post_init__(self) -> None:
        self.chunks = self.chunks or UNIT_CHUNKS

    def saw(self, count: int, size: int) -> None:
        wanted = UNIT_BYTES * count // max(size, 1)
        self.chunks = max(1, min(UNIT_CHUNKS, 2 * self.chunks, wanted))


def bounds(columns: Columns) -> Ints:
    """Where in samples sorted by series and time those of another chunk begin; and their end."""
    if not len(columns):
        return np.zeros(1, np.int64)
    windows = windows_of(columns.times)
    differs = (columns.series[1:] != columns.series[:-1]) | (windows[1:] != windows[:-1])
    return np.flatnonzero(np.concatenate(([True], differs, [True])))


def windows_of(times: Ints) -> Ints:
    """The starts of the windows that these samples lie in."""
    window_ms = chunks.WINDOW_MS[SAMPLES]
    return (times - 1) // window_ms * window_ms


def units(step: Columns, size: UnitSize) -> Iterator[dict[Place, Samples]]:
    """The samples by chunk, some chunks at a time."""
    found = bounds(step)
    windows = windows_of(step.times[found[:-1]])
    at, count = 0, len(windows)
    while at < count:
        unit = found[at : at + size.chunks + 1].tolist()
        yield {
            (int(step.series[start]), int(window)): (
                step.times[start:end],
                step.values[start:end],
            )
            for window, (start, end) in zip(windows[at:], pairwise(unit), strict=False)
        }
        at += len(unit) - 1


def write(held: Lease, unit: Mapping[Place, Samples], size: UnitSize) -> int:
    """Merges samples into their chunks; how many chunks changed."""
    damaged: list[int] = []
    rows = [row(place, line) for place, line in merged(unit, damaged).items()]
    size.saw(len(unit), sum(len(row.data) for row in rows))
    if rows:
        store(held, rows, damaged)
    return len(rows)


def merged(unit: Mapping[Place, Samples], damaged: list[int]) -> dict[Place, Samples]:
    """All samples of the chunks to which these bring something new.

    Chunks that cannot be read are put on the list of damaged ones.
    """
    existing = _existing(unit)
    found = {}
    for place, new in unit.items():
        both: Samples | None = new
        if place in existing:
            old = decoded(*existing[place], damaged)
            both = new if old is None else merge(old, new)
        if both is not None:
            found[place] = both
    return found


def row(place: Place, line: Samples) -> Chunk:
    """A chunk of samples."""
    return chunks.row(place[0], SAMPLES, place[1], len(line[0]), codec.encode(*line))


def store(
    held: Lease, rows: Sequence[Chunk], damaged: Sequence[int], settled: Sequence[int] = ()
) -> None:
    """Writes chunks, sets damaged ones aside and deletes settled ones, in one transaction."""
    with transaction.atomic():
        held.renew()
        if damaged:
            Chunk.objects.filter(id__in=damaged).update(resolution_ms=DAMAGED, start_ms=-F("id"))
        if rows:
            # Whether the series still exist is asked here, or one deleted meanwhile came back.
            ids = {row.series_id for row in rows}
            alive = set(Series.objects.filter(id__in=ids).values_list("id", flat=True))
            chunks.write([row for row in rows if row.series_id in alive])
        if settled:
            Chunk.objects.filter(id__in=settled).delete()


def decoded(id: int, data: bytes, damaged: list[int]) -> Samples | None:
    """The samples of a chunk. One that cannot be read is put on the list of damaged ones."""
    try:
        return codec.decode(data)
    except ValueError as error:
        logger.error("chunk %d cannot be read and is set aside: %s", id, error)
        damaged.append(id)
        return None


def _existing(places: Iterable[Place]) -> dict[Place, tuple[int, bytes]]:
    """(id, data) of the chunks that are there already."""
    windows: dict[int, list[int]] = {}
    series: dict[int, list[int]] = {}
    for id, start_ms in places:
        windows.setdefault(start_ms, []).append(id)
        series.setdefault(id, []).append(start_ms)
    raw = Chunk.objects.filter(resolution_ms=SAMPLES)
    if len(windows) <= len(series):
        queries = [raw.filter(start_ms=at, series_id__in=ids) for at, ids in windows.items()]
    else:
        queries = [raw.filter(series_id=id, start_ms__in=ats) for id, ats in series.items()]
    return {
        (series_id, start_ms): (id, bytes(data))
        for query in queries
        for id, series_id, start_ms, data in query.values_list(
            "id", "series_id", "start_ms", "data"
        )
    }


def merge(old: Samples, new: Samples) -> Samples | None:
    """Both, ascending, the new one's value where both have a time; None: nothing is new."""
    begin = int(np.searchsorted(old[0], new[0][0]))
    times = np.concatenate((old[0][begin:], new[0]))
    values = np.concatenate((old[1][begin:], new[1]))
    if begin < len(old[0]):
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        last = np.append(times[1:] != times[:-1], True)
        times, values = times[last], values[last]
        if len(times) == len(old[0]) - begin and np.array_equal(
            values.view(np.int64), old[1][begin:].view(np.int64)
        ):
            return None
    return np.concatenate((old[0][:begin], times)), np.concatenate((old[1][:begin], values))
