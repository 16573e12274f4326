"""Snapshots and updates of queries as one binary message each: subprotocol `pulseboard.v1`.

Little-endian, every array on a multiple of 8 bytes from the message's start, so that a browser
looks at them in place. `LAYOUT` is the definition that docs/protocol.md shows. Pure.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import cast

import msgspec
import numpy as np

from dashboard import protocol
from metrics.columns import Floats, Ints

FORMAT = 1
SNAPSHOT, UPDATE = 1, 2
BAND, CONFLATED = 1, 2  # flags
HEADER = struct.Struct("<BBHIIIIIdd")  # 40 bytes
ID_AT = 4  # where the watch id stands

LAYOUT = (
    ("0", "u8", "version of this format, 1"),
    ("1", "u8", "kind: 1 snapshot, 2 update"),
    ("2", "u16", "flags: 1 low and high follow, 2 conflated"),
    ("4", "u32", "watch id"),
    ("8", "u32", "R: rows, the series known after this message"),
    ("12", "u32", "C: columns, the times"),
    ("16", "u32", "L: bytes of the series part"),
    ("20", "u32", "epoch of the cursor"),
    ("24", "f64", "number of the cursor; 0 with epoch 0: there is none"),
    ("32", "f64", "step_ms"),
    ("40", "f64[C]", "times, ms since 1970"),
    ("40 + 8C", "f64[R*C]", "values, row by row; NaN where there is none"),
    ("40 + 8C + 8RC", "f64[2*R*C]", "low, then high, in the same form; only with flag 1"),
    ("the rest", "u8[L]", "the new series as JSON: an array of Line; absent when L is 0"),
)


@dataclass(frozen=True, slots=True)
class Grid:
    """What a snapshot or an update tells: a row of `values` for every series known after it.

    `added`: the series that are new in it. `band`: least and greatest values in the same form;
    None: these are the values.
    """

    kind: int
    times: Ints
    values: Floats
    added: list[protocol.Line]
    step_ms: int
    band: tuple[Floats, Floats] | None = None

    def size_bytes(self) -> int:
        """About what its arrays and labels hold."""
        labels = sum(len(k) + len(v) + 100 for one in self.added for k, v in one.labels.items())
        return int(self.times.nbytes + self.values.nbytes * (3 if self.band else 1)) + labels


def encode(grid: Grid, cursor: str, id: int = 0, conflated: bool = False) -> bytes:
    """The message. `cursor` is a ring's, or empty."""
    epoch, _, seq = cursor.partition(":")
    series = msgspec.json.encode(grid.added) if grid.added else b""
    rows, columns = grid.values.shape
    flags = (BAND if grid.band is not None else 0) | (CONFLATED if conflated else 0)
    header = HEADER.pack(
        FORMAT,
        grid.kind,
        flags,
        id,
        rows,
        columns,
        len(series),
        int(epoch or "0", 16),
        float(seq or 0),
        float(grid.step_ms),
    )
    blocks = (grid.values, *(grid.band or ()))
    arrays = [np.where(np.isfinite(block), block, np.nan) for block in blocks]
    return b"".join(
        (header, grid.times.astype("<f8").tobytes(), *(_bytes(one) for one in arrays), series)
    )


def _bytes(block: Floats) -> bytes:
    return block.astype("<f8", copy=False).tobytes()


def encode_message(frame: protocol.Snapshot | protocol.Update) -> bytes:
    """The binary form of a message that is at hand in the other one."""
    blocks = [np.array(one, np.float64) for one in (frame.values, frame.low, frame.high) if one]
    shape = (len(frame.values), len(frame.times))
    values, *band = [block.reshape(shape) for block in blocks] or [np.empty(shape)]
    is_snapshot = isinstance(frame, protocol.Snapshot)
    grid = Grid(
        SNAPSHOT if is_snapshot else UPDATE,
        np.array(frame.times, np.int64),
        values,
        frame.series,
        frame.step_ms if isinstance(frame, protocol.Snapshot) else 0,
        (band[0], band[1]) if band else None,
    )
    return encode(grid, frame.cursor, frame.id, frame.conflated)


def decode(data: bytes) -> protocol.Snapshot | protocol.Update:
    """What a message tells, as its JSON form would.

    Raises ValueError for another version or kind, and for one whose length does not fit.
    """
    if len(data) < HEADER.size:
        raise ValueError(f"{len(data)} bytes are too short for a header of {HEADER.size}")
    version, kind, flags, id, rows, columns, length, epoch, seq, step_ms = HEADER.unpack_from(data)
    if version != FORMAT or kind not in (SNAPSHOT, UPDATE):
        raise ValueError(f"version {version}, kind {kind}: expected version {FORMAT}, kind 1 or 2")
    blocks = 3 if flags & BAND else 1
    expected = HEADER.size + 8 * columns * (1 + blocks * rows) + length
    if len(data) != expected:
        raise ValueError(f"{len(data)} bytes, but its header tells of {expected}")
    times = np.frombuffer(data, "<f8", columns, HEADER.size).astype(np.int64).tolist()
    found = [
        _rows(data, rows, columns, HEADER.size + 8 * columns * (1 + block * rows))
        for block in range(blocks)
    ]
    low, high = (found[1], found[2]) if flags & BAND else (None, None)
    added = data[len(data) - length :]
    series = msgspec.json.decode(added, type=list[protocol.Line]) if length else []
    cursor = f"{epoch:08x}:{int(seq)}" if epoch or seq else ""
    conflated = bool(flags & CONFLATED)
    if kind == SNAPSHOT:
        return protocol.Snapshot(
            id, series, times, found[0], int(step_ms), cursor, low, high, conflated
        )
    return protocol.Update(id, times, found[0], cursor, series, low, high, conflated)


def _rows(data: bytes, rows: int, columns: int, offset: int) -> list[list[protocol.Number]]:
    block = np.frombuffer(data, "<f8", rows * columns, offset).reshape(rows, columns)
    found = block.astype(object)
    found[np.isnan(block)] = None
    return cast(list[list[protocol.Number]], found.tolist())
