"""One column of a payload: its head, its planes, and the strays that fit no plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.codec import integers
from metrics.codec.body import HeadReader, numbers
from metrics.codec.decimals import MAX_DECIMALS, scale, unscale

_WHOLE, _BITS, _DECIMAL = 0, 1, 2  # int64; float64 by its bits; float64 as integer / 10**k
_STRAY_BYTES = 4 + 8


def write(array: NDArray[Any], head: bytearray, planes: list[bytes]) -> None:
    """Adds a column's description to the head of a payload and its bytes to the planes."""
    strays = b""
    stray_count = decimals = 0
    if array.dtype == np.int64:
        kind, whole = _WHOLE, array
    elif array.dtype != np.float64:
        raise ValueError(f"a column of {array.dtype} cannot be encoded, only int64 and float64")
    elif (scaled := scale(array)) is None:
        kind, whole = _BITS, array.view(np.int64)
    else:
        kind, whole, decimals = _DECIMAL, scaled.integers, scaled.decimals
        stray_count = len(scaled.strays)
        if stray_count:
            strays = scaled.strays.astype("<u4").tobytes()
            strays += array[scaled.strays].astype("<f8", copy=False).tobytes()
    plan, own_planes = integers.pack(whole, patterns=kind == _BITS)
    head += bytes((kind << 4 | plan.order, decimals << 4 | plan.width))
    head += numbers(plan.start, plan.slope, plan.unit - 1, stray_count)
    planes += own_planes
    if strays:
        planes.append(strays)


@dataclass(frozen=True, slots=True)
class Description:
    """A column's head: enough to know how long it is and how to read it."""

    kind: int
    rows: int
    decimals: int
    stray_count: int
    plan: integers.Plan

    @property
    def body_bytes(self) -> int:
        return self.plan.body_bytes(self.rows) + _STRAY_BYTES * self.stray_count

    def read(self, body: bytes, at: int) -> NDArray[Any]:
        whole = integers.unpack(self.plan, self.rows, body, at)
        if self.kind == _WHOLE:
            return whole
        if self.kind == _BITS:
            return whole.view(np.float64)
        values = unscale(whole, self.decimals)
        if self.stray_count:
            at += self.plan.body_bytes(self.rows)
            strays = np.frombuffer(body, "<u4", self.stray_count, at)
            if int(strays.max()) >= self.rows:
                raise ValueError(f"a damaged payload: row {strays.max()} of {self.rows}")
            values[strays] = np.frombuffer(body, "<f8", self.stray_count, at + 4 * self.stray_count)
        return values


def describe(head: HeadReader, rows: int) -> Description:
    """The next column's description. Raises ValueError when there is no such column."""
    first, second = head.bytes(2)
    kind, order, decimals, width = first >> 4, first & 0xF, second >> 4, second & 0xF
    start, slope, unit_less_1, stray_count = head.numbers(4)
    if (
        kind > _DECIMAL
        or decimals > MAX_DECIMALS
        or order > integers.MAX_ORDER
        or width > integers.MAX_WIDTH
        or not 0 <= unit_less_1 < integers.FAR
        or not 0 <= stray_count <= rows
    ):
        raise ValueError("a damaged payload: its head describes a column that cannot be")
    plan = integers.Plan(order, width, start, slope, unit_less_1 + 1)
    return Description(kind, rows, decimals, stray_count, plan)
