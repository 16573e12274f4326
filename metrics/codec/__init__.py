"""Columns of numbers as few bytes, and back, bit for bit; pure.

A payload is a version byte and one compressed, checksummed body:

    version | zstd( layout, row count, column count, a head per column | the columns' planes )

Each column is predicted (``integers``; floats become integers first, ``decimals``) and what the
prediction missed is written as planes: all lowest bytes, then all second bytes, and so on. The
planes of one kind of number look alike, which is what the compressor lives on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.codec import columns
from metrics.codec.body import compress, decompress, numbers, numbers_at
from metrics.codec.integers import ALL, Rows

__all__ = [
    "ALL", "Floats", "Ints", "Payload", "Rows", "decode", "decode_columns", "encode",
    "encode_columns", "unpack",
]  # fmt: skip

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Column = NDArray[Any]

VERSION_1 = 1
SAMPLES_LAYOUT = 0
MAX_ROWS = 1 << 23  # a window of two hours holds 7.2 million, one a millisecond
_MAX_COLUMNS = 64
_MAX_LAYOUT = 127


def encode(times: Ints, values: Floats) -> bytes:
    """Samples as bytes. Every value comes back bit for bit, ``-0.0`` and NaN included.

    Any int64 times will do; ascending ones at a steady pace cost nothing. Raises ValueError when
    there are not as many times as values, or more than MAX_ROWS.
    """
    return encode_columns(SAMPLES_LAYOUT, (times, values))


def decode(data: bytes | memoryview) -> tuple[Ints, Floats]:
    """The inverse of encode(). Raises ValueError when these bytes are not whole samples."""
    layout, parts = decode_columns(data)
    if layout != SAMPLES_LAYOUT or [part.dtype for part in parts] != [np.int64, np.float64]:
        raise ValueError(f"layout {layout} of {len(parts)} columns, expected times and values")
    return parts[0], parts[1]


def encode_columns(layout: int, arrays: Sequence[Column]) -> bytes:
    """Equally long int64 and float64 columns as bytes.

    ``layout`` (0 to 127) says what the columns mean, to whoever reads them; 0 are samples.
    Raises ValueError for columns of other types, of different lengths or longer than MAX_ROWS.
    """
    rows = len(arrays[0]) if arrays else 0
    if not 0 <= layout <= _MAX_LAYOUT or len(arrays) > _MAX_COLUMNS or rows > MAX_ROWS:
        raise ValueError(
            f"a payload has a layout of 0 to {_MAX_LAYOUT}, at most {_MAX_COLUMNS} columns "
            f"and at most {MAX_ROWS} rows, not {layout}, {len(arrays)} and {rows}"
        )
    head = bytearray((layout,)) + numbers(rows, len(arrays))
    planes: list[bytes] = []
    for number, array in enumerate(arrays):
        if array.shape != (rows,):
            raise ValueError(f"column {number} has shape {array.shape}, expected ({rows},)")
        columns.write(np.ascontiguousarray(array), head, planes)
    return bytes((VERSION_1,)) + compress([bytes(head), *planes])


def decode_columns(data: bytes | memoryview) -> tuple[int, list[Column]]:
    """The inverse of encode_columns(): the layout, and new int64 or float64 arrays.

    Raises ValueError for an unknown version and for damaged or cut bytes.
    """
    payload = unpack(data)
    return payload.layout, [payload.column(number) for number in range(len(payload.kinds))]


class Payload:
    """What unpack() gives: columns that are decoded as they are asked for.

    ``kinds`` has a letter for each: ``i`` int64, ``f`` float64. The bytes were checked as a
    whole before, whichever columns are asked for.
    """

    def __init__(self, body: bytes, layout: int, rows: int, places: list[tuple[int, int]]) -> None:
        self.layout = layout
        self.rows = rows
        self.kinds = "".join(["i" if columns.is_whole(body, head) else "f" for head, _ in places])
        self._body = body
        self._places = places  # where each one's head is, and where its bytes begin

    def column(self, number: int, wanted: Rows = ALL) -> Column:
        """A new array of the wanted rows, ascending, of a column: costs less than all of them.

        Raises ValueError where the column is damaged.
        """
        return columns.read(self._body, *self._places[number], self.rows, wanted)


def unpack(data: bytes | memoryview) -> Payload:
    """The columns of encode_columns(), none of them decoded yet.

    Raises ValueError for an unknown version and for damaged or cut bytes.
    """
    if len(data) == 0:
        raise ValueError("a payload of 0 bytes holds no columns")
    if data[0] != VERSION_1:
        raise ValueError(f"payload version {data[0]} is not known here, only {VERSION_1} is")
    body = decompress(memoryview(data)[1:])
    heads, sizes = [], []
    try:
        layout = body[0]
        (rows, count), at = numbers_at(body, 1, 2)
        if not (0 <= rows <= MAX_ROWS and 0 <= count <= _MAX_COLUMNS):
            raise ValueError(f"a payload of {count} columns and {rows} rows is damaged")
        for _ in range(count):
            heads.append(at)
            at, size = columns.lengths(body, at, rows)
            sizes.append(size)
    except IndexError:
        raise ValueError("a damaged payload: its head is cut") from None
    starts = list(accumulate(sizes, initial=at))
    if starts.pop() != len(body):
        raise ValueError(f"the payload's body has {len(body)} bytes, expected {at + sum(sizes)}")
    return Payload(body, layout, rows, list(zip(heads, starts, strict=True)))
