"""A column of int64 as a prediction and the little that it missed; pure.

    x[i] = start + unit * y[i]          and y is one of
    order 0    y[i] = slope * i + missed[i]                 noise around a line
    order 1    y[i] - y[i-1] = slope + missed[i-1]          a walk; y[0] = 0
    order 2    the steps of the steps are missed; y[0] = 0, y[1] = slope

All arithmetic is modulo 2^64, so every int64 comes back whatever was predicted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_LOOKED_AT = 128  # rows on which the orders are compared
_UNIT_LOOKED_AT = 16
FAR = 1 << 61  # differences of values beyond may wrap, and then have no common unit
_UNSIGNED: dict[int, type[np.unsignedinteger[Any]]] = {
    1: np.uint8,
    2: np.uint16,
    4: np.uint32,
    8: np.uint64,
}
_SIGNED: dict[int, type[np.signedinteger[Any]]] = {
    1: np.int8,
    2: np.int16,
    4: np.int32,
    8: np.int64,
}
MAX_ORDER = 2
MAX_WIDTH = 8

Rows = slice | Ints  # ascending, no step, none of them negative
ALL = slice(None)


@dataclass(slots=True)
class Plan:
    """How a column is predicted; `width` bytes hold what it missed, 0 where it missed nothing."""

    order: int
    width: int
    start: int
    slope: int
    unit: int

    def body_bytes(self, rows: int) -> int:
        return self.width * max(rows - self.order, 0)


def pack(x: Ints, patterns: bool = False) -> tuple[Plan, list[bytes]]:
    """The plan of a column and its planes, the lowest bytes first.

    ``patterns`` says that the numbers are bit patterns, of floats: those that are noise are left
    as they are, for their bytes repeat more often than those of differences do.
    """
    if len(x) == 0:
        return Plan(0, 0, 0, 0, 1), []
    start = int(x[0])
    steps = x[1:] - x[:-1]
    if len(steps) == 0:
        return Plan(0, 0, start, 0, 1), []
    if (steps == steps[0]).all():
        return Plan(0, 0, start, int(steps[0]), 1), []
    unit = _common_unit(x, steps)
    y = x - start
    if unit > 1:
        y //= unit
        steps = steps // unit
    order, slope, base = _choose(y, steps)
    if order == 0 and patterns:
        missed, start, slope, unit = x, 0, 0, 1
    elif order == 0:
        missed = y - base
        if slope:
            missed -= np.arange(0, len(y)) * slope
        start = wrapped(start + unit * base)
    elif order == 1:
        missed = steps - slope if slope else steps
    else:
        missed = steps[1:] - steps[:-1]
    planes = _planes(missed)
    return Plan(order, len(planes), start, slope, unit), planes


def unpack(plan: Plan, rows: int, body: bytes, at: int, wanted: Rows = ALL) -> Ints:
    """The column of a plan whose planes begin at ``at`` in ``body``; of it the wanted rows."""
    if plan.width == 0 or rows <= plan.order:
        return _line(plan.start, wrapped(plan.slope * plan.unit), rows, wanted)
    planes = np.frombuffer(body, np.uint8, plan.body_bytes(rows), at).reshape(plan.width, -1)
    if plan.order == 0:
        x = _joined(planes if wanted is ALL else planes[:, wanted]).astype(np.int64, copy=False)
        if plan.slope:
            x += _line(0, plan.slope, rows, wanted)
    else:
        # Each number rests on those before it.
        if not isinstance(wanted, slice):
            rows = int(wanted[-1]) + 1 if len(wanted) else 0
        elif wanted.stop is not None:
            rows = min(rows, wanted.stop)
        rows = max(rows, plan.order)
        x = np.empty(rows, np.int64)
        x[: plan.order] = (0, plan.slope)[: plan.order]
        x[plan.order :] = _joined(planes[:, : rows - plan.order])
        if plan.order == 2:
            np.add.accumulate(x[1:], out=x[1:])
        elif plan.slope:
            x[1:] += plan.slope
        np.add.accumulate(x, out=x)
        if wanted is not ALL:
            x = x[wanted]
    if plan.unit != 1:
        x *= plan.unit
    if plan.start:
        x += plan.start
    return x


def _line(start: int, step: int, rows: int, wanted: Rows) -> Ints:
    """``start + step * i`` for the wanted rows ``i``."""
    if isinstance(wanted, slice):
        begin, end, _ = wanted.indices(rows)
        if not step:
            return np.full(max(end - begin, 0), start, np.int64)
        x = np.arange(begin, end, dtype=np.int64)
    else:
        x = wanted.astype(np.int64)
    x *= step
    x += start
    return x


def wrapped(number: int) -> int:
    """A number as the int64 that it is modulo 2^64."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _common_unit(x: Ints, steps: Ints) -> int:
    """What all steps are a multiple of: 1,000 for whole seconds, 4,096 for pages of memory."""
    some = steps[:: max(1, len(steps) // _UNIT_LOOKED_AT)]
    unit = math.gcd(*some.tolist())
    if unit == 0:  # only repetitions looked at
        unit = int(np.abs(steps).max())
    if not 1 < unit < FAR or int(x.max()) >= FAR or int(x.min()) <= -FAR:
        return 1
    rest = steps % unit
    return math.gcd(unit, *rest[rest != 0].tolist())


def _choose(y: Ints, steps: Ints) -> tuple[int, int, int]:
    """The order that leaves the fewest bits, with its slope and, for order 0, its base."""
    stride = max(1, len(steps) // _LOOKED_AT)
    some, some_steps = y[:-1:stride], steps[::stride]
    line = _slope(some.tolist(), stride)
    candidates = np.zeros((MAX_ORDER + 1, len(some)), np.int64)
    flat = some - np.arange(0, len(steps), stride) * line if line else some
    base, step = _middle(flat), _middle(some_steps)
    candidates[0] = flat - base
    candidates[1] = some_steps - step
    turns = steps[1::stride]
    candidates[2, : len(turns)] = turns - some_steps[: len(turns)]
    # A float's exponent is its number of bits: the fewer in all, the shorter the planes.
    bits = np.frexp(_zigzag(candidates).astype(np.float64))[1].sum(axis=1).tolist()
    order = bits.index(min(bits))
    return order, (line, step, int(steps[0]))[order], base if order == 0 else 0


def _slope(some: list[int], stride: int) -> int:
    """The slope of the line from the middle of the first eighth to that of the last one."""
    edge = max(1, len(some) // 8)
    begin, end = sorted(some[:edge])[edge // 2], sorted(some[-edge:])[edge // 2]
    slope = round((end - begin) / (stride * max(1, len(some) - edge)))
    return slope if abs(slope) < FAR else 0


def _middle(numbers: Ints) -> int:
    return int(np.sort(numbers)[len(numbers) // 2])


def _zigzag(numbers: Ints) -> NDArray[np.uint64]:
    """0, -1, 1, -2, 2 ... as 0, 1, 2, 3, 4 ..."""
    folded = numbers << 1
    folded ^= numbers >> 63
    return folded.view(np.uint64)


def _planes(missed: Ints) -> list[bytes]:
    folded = _zigzag(missed)
    width = (int(folded.max()).bit_length() + 7) // 8
    whole = next(size for size in (1, 2, 4, 8) if size >= width)
    narrow = folded.astype(_UNSIGNED[whole])
    if width == 1:
        return [narrow.tobytes()]
    apart = narrow.astype(narrow.dtype.newbyteorder("<"), copy=False).view(np.uint8)
    return [apart[place::whole].tobytes() for place in range(width)]


def _joined(planes: NDArray[np.uint8]) -> NDArray[np.signedinteger[Any]]:
    """The inverse of _planes(), in whichever type is made fastest."""
    width, count = planes.shape
    if width == 1:
        narrow: Ints = _UNFOLDED.take(planes[0])
        return narrow
    whole = next(size for size in (2, 4, 8) if size >= width)
    folded: NDArray[Any]
    if width == 2:
        folded = planes[1].astype(np.uint16)
        folded <<= 8
        folded |= planes[0]
    else:
        together = np.zeros((count, whole), np.uint8)
        for place in range(width):
            together[:, place] = planes[place]
        folded = together.view(f"<u{whole}")[:, 0].astype(_UNSIGNED[whole], copy=False)
    missed: NDArray[np.signedinteger[Any]] = (folded >> 1).view(_SIGNED[whole])
    missed ^= -(folded & 1).view(_SIGNED[whole])
    return missed


# What each byte of a column of single bytes stands for.
_UNFOLDED = (np.arange(256) >> 1) ^ -(np.arange(256) & 1)
