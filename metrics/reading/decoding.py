"""Chunks' bytes as arrays; one that is damaged harms no query but its own part of the picture."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np

from metrics import codec, rollups
from metrics.chunks import Place
from metrics.codec import ALL, Rows
from metrics.columns import Floats, Ints
from metrics.reading.kept import Kept
from metrics.rollups import Rollup

logger = logging.getLogger(__name__)

Line = tuple[Ints, Floats]  # times, ascending and unique, and values
Decoded = TypeVar("Decoded")

NOTHING: Line = (np.empty(0, np.int64), np.empty(0))
MOST_COMPLAINTS = 1000  # chunks that were complained about are remembered, up to so many

_complained: set[tuple[int, Place]] = set()
_kept = Kept()


class Wanted(Protocol):
    """What somebody needs of buckets; the rest of them is not decoded."""

    def columns(self, resolution_ms: int) -> frozenset[str]:
        """The columns of a rollup, by their names; ``end_ms`` is always there."""
        ...

    def seen(self, end_ms: Ints, resolution_ms: int) -> Rows:
        """Which of the buckets that end then."""
        ...


def samples(place: Place, data: bytes) -> Line:
    """The samples of a chunk; none when it is damaged, which is logged once."""
    return _or_nothing(0, place, lambda: codec.decode(data)) or NOTHING


def buckets(
    place: Place, data: bytes, resolution_ms: int, from_ms: int, to_ms: int, wanted: Wanted
) -> Rollup | None:
    """What is wanted of a chunk's buckets that end in (from_ms, to_ms].

    None when the chunk is damaged, which is logged once.
    """

    def pick(end_ms: Ints) -> Rows:
        begin, end = np.searchsorted(end_ms, (from_ms, to_ms), side="right").tolist()
        seen = wanted.seen(end_ms[begin:end], resolution_ms)
        if isinstance(seen, slice):
            return ALL if end - begin == len(end_ms) else slice(begin, end)
        rows: Ints = seen + begin
        return rows

    key = data, wanted.columns(resolution_ms)
    return _or_nothing(resolution_ms, place, lambda: _picked(key, resolution_ms, pick))


def _picked(
    key: tuple[bytes, frozenset[str]], resolution_ms: int, pick: Callable[[Ints], Rows]
) -> Rollup:
    """Whole chunks are decoded, and kept, when they are asked for the second time."""
    whole = _kept.get(key)
    if whole is None:
        if not _kept.is_wanted(key):
            return rollups.decode(key[0], resolution_ms, key[1], pick)
        whole = rollups.decode(key[0], resolution_ms, key[1])
        _kept.add(key, whole)
    rows = pick(whole.end_ms)
    if rows is ALL:
        return whole
    return Rollup(resolution_ms, *(column[rows] for column in whole.columns()))


def _or_nothing(resolution_ms: int, place: Place, decode: Callable[[], Decoded]) -> Decoded | None:
    try:
        return decode()
    except ValueError as error:
        if (resolution_ms, place) not in _complained and len(_complained) < MOST_COMPLAINTS:
            _complained.add((resolution_ms, place))
            logger.error(
                "the chunk of series %d at %d (resolution %d ms) is left out: %s",
                *place, resolution_ms, error,
            )  # fmt: skip
        return None
