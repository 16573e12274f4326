"""Floats as the integers they were before somebody divided by 100; pure.

A float is "k decimals" when it is the one that `integer / 10**k` gives, bit for bit: then the
integer says it all. A few that are not (-0.0, NaN, infinity, a stray sum) are kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MAX_DECIMALS = 7
_POWERS = np.power(10.0, np.arange(MAX_DECIMALS + 1))
_LOOKED_AT = 24
_STRAY_SHARE = 1 / 16  # more strays than this and the column is better kept as bits
_TRIES = 3
_NO_STRAYS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Scaled:
    """`integers / 10**decimals`, but for the values at the indexes ``strays``."""

    integers: Ints
    decimals: int
    strays: Ints


def scale(values: Floats, stray_share: float = _STRAY_SHARE) -> Scaled | None:
    """The values as integers, or None when too many of them are no decimals.

    At a stray's place the integer of the value before it stands, or the first that there is.
    """
    bits = values.view(np.int64)
    doubtful, least = values, 0
    with np.errstate(invalid="ignore", over="ignore"):
        for _ in range(_TRIES):
            decimals = _decimals_of_most(doubtful, least)
            if decimals is None:
                return None
            power = float(_POWERS[decimals])
            near = values * power
            integers = np.rint(near, out=near).astype(np.int64)
            wrong = (integers / power).view(np.int64) != bits
            count = int(np.count_nonzero(wrong))
            if count == 0:
                return Scaled(integers, decimals, _NO_STRAYS)
            if count <= stray_share * len(values):
                strays = np.flatnonzero(wrong)
                _bridge(integers, strays, int(wrong.argmin()))
                return Scaled(integers, decimals, strays)
            doubtful, least = values[wrong], decimals + 1
    return None


def unscale(integers: Ints, decimals: int) -> Floats:
    """The inverse of scale() for columns without strays; the same division, so the same bits."""
    if decimals == 0:
        return integers.astype(np.float64)
    result: Floats = integers / float(_POWERS[decimals])
    return result


def exactly(values: Floats, decimals: int) -> Ints | None:
    """The values as integers of so many decimals, or None where one of them is no such number."""
    with np.errstate(invalid="ignore", over="ignore"):
        integers = np.rint(values * float(_POWERS[decimals])).astype(np.int64)
    same = unscale(integers, decimals).view(np.int64) == values.view(np.int64)
    return integers if same.all() else None


def _decimals_of_most(values: Floats, least: int) -> int | None:
    """The fewest decimals, at least ``least``, that most of some of the values have."""
    some = values[:: max(1, len(values) // _LOOKED_AT)]
    powers = _POWERS[least:, np.newaxis]
    integers = np.rint(some * powers).astype(np.int64)
    right = (integers / powers).view(np.int64) == some.view(np.int64)
    enough = np.count_nonzero(right, axis=1) * 8 >= len(some) * 7
    return least + int(enough.argmax()) if enough.any() else None


def _bridge(integers: Ints, strays: Ints, first_right: int) -> None:
    """Puts at each stray's place the integer before the strays around it."""
    before = np.concatenate(([True], strays[1:] != strays[:-1] + 1)) * strays - 1
    before = np.maximum.accumulate(before)
    before[before < 0] = first_right
    integers[strays] = integers[before]
