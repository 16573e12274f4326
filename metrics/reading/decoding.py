"""Chunks' bytes as arrays; one that is damaged harms no query but its own part of the picture."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from metrics import codec, rollups
from metrics.chunks import Place
from metrics.columns import Floats, Ints
from metrics.rollups import Rollup

logger = logging.getLogger(__name__)

Line = tuple[Ints, Floats]  # times, ascending and unique, and values
Decoded = TypeVar("Decoded")

NOTHING: Line = (np.empty(0, np.int64), np.empty(0))
MOST_COMPLAINTS = 1000  # chunks that were complained about are remembered, up to so many

_complained: set[tuple[int, Place]] = set()


def samples(place: Place, data: bytes) -> Line:
    """The samples of a chunk; none when it is damaged, which is logged once."""
    return _or_nothing(0, place, lambda: codec.decode(data)) or NOTHING


def buckets(place: Place, data: bytes, resolution_ms: int) -> Rollup | None:
    """The buckets of a chunk; None when it is damaged, which is logged once."""
    return _or_nothing(resolution_ms, place, lambda: rollups.decode(data, resolution_ms))


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
