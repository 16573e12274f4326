"""One column of a payload: its head, its planes, and the strays that fit no plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.codec import integers
from metrics.codec.body import numbers, numbers_at
from metrics.codec.decimals import MAX_DECIMALS, scale, unscale
from metrics.codec.integers import ALL, Rows

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


def lengths(body: bytes, at: int, rows: int) -> tuple[int, int]:
    """Of the column whose head stands at ``at``: where the head ends, and its bytes in the body.

    Raises ValueError for damage, or IndexError at the end of the body.
    """
    low, high = body[at + 2], body[at + 3]
    end = at + 4 + (low & 0xF) + (low >> 4) + (high & 0xF) + (high >> 4)
    missed = max(rows - (body[at] & 0xF), 0)
    size = (body[at + 1] & 0xF) * missed
    if high >> 4:
        stray_count = int.from_bytes(body[end - (high >> 4) : end], "little", signed=True)
        if not 0 <= stray_count <= rows:
            raise ValueError(f"a damaged payload: {stray_count} strays in {rows} rows")
        size += _STRAY_BYTES * stray_count
    return end, size


def is_whole(body: bytes, at: int) -> bool:
    """Whether the column whose head stands at ``at`` is of int64, not float64."""
    return body[at] >> 4 == _WHOLE


def read(body: bytes, head_at: int, at: int, rows: int, wanted: Rows = ALL) -> NDArray[Any]:
    """The wanted rows of a column, by where its head stands and where its bytes begin.

    Raises ValueError when there can be no such column.
    """
    first, second = body[head_at], body[head_at + 1]
    kind, order, decimals, width = first >> 4, first & 0xF, second >> 4, second & 0xF
    (start, slope, unit_less_1, stray_count), _ = numbers_at(body, head_at + 2, 4)
    if (
        kind > _DECIMAL
        or decimals > MAX_DECIMALS
        or order > integers.MAX_ORDER
        or width > integers.MAX_WIDTH
        or not 0 <= unit_less_1 < integers.FAR
    ):
        raise ValueError("a damaged payload: its head describes a column that cannot be")
    plan = integers.Plan(order, width, start, slope, unit_less_1 + 1)
    if stray_count and kind == _DECIMAL:
        whole = integers.unpack(plan, rows, body, at)
        values = unscale(whole, decimals)
        _put_strays(values, stray_count, body, at + plan.body_bytes(rows))
        return values[wanted]
    whole = integers.unpack(plan, rows, body, at, wanted)
    if kind == _WHOLE:
        return whole
    return whole.view(np.float64) if kind == _BITS else unscale(whole, decimals)


def _put_strays(values: NDArray[Any], count: int, body: bytes, at: int) -> None:
    strays = np.frombuffer(body, "<u4", count, at)
    if int(strays.max()) >= len(values):
        raise ValueError(f"a damaged payload: row {strays.max()} of {len(values)}")
    values[strays] = np.frombuffer(body, "<f8", count, at + 4 * count)
