"""What the light clients know of the wire: just enough to count, to date and to order frames.

No JSON is parsed and no array is made for an update: both forms are read at known places.
docs/protocol.md says what the bytes mean.
"""

from __future__ import annotations

import base64
import math
import os
import struct
from typing import NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
JSON_FORM, BINARY_FORM = "pulseboard.v1.json", "pulseboard.v1"
FORMS = {"json": JSON_FORM, "binary": BINARY_FORM}

SNAPSHOT, UPDATE = 1, 2  # the kinds of data frames, as the binary form numbers them
CONFLATED = 2  # bit 1 of a binary frame's flags
_HEAD = struct.Struct("<BBHIIIIIdd")  # version, kind, flags, watch, R, C, L, epoch, seq, step_ms
_VALUE = struct.Struct("<d")
_VERSION = 1
_SEEK = 4096  # bytes from the end of a JSON frame within which its cursor stands


class Look(NamedTuple):
    """What a data frame says at a glance.

    `time_ms` is its newest time and `value` its first row's value then, NaN if there is none.
    `seq` 0: it has no cursor, or nothing came after the epoch began.
    """

    kind: int
    watch: int
    epoch: str
    seq: int
    conflated: bool
    time_ms: float
    value: float

    @property
    def cursor(self) -> str:
        return f"{self.epoch}:{self.seq}"


def handshake(host: str, path: str, subprotocol: str, cookie: str = "") -> bytes:
    """The request of a client that offers one subprotocol, or none."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    if subprotocol:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    if cookie:
        lines.append(f"Cookie: {cookie}")
    return "\r\n".join([*lines, "", ""]).encode()


def client_frame(kind: int, payload: bytes) -> bytes:
    """A whole frame of a client, up to 64 KiB. A mask of zeros is a mask: the payload stays."""
    wide = len(payload).to_bytes(2, "big") if len(payload) > 125 else b""
    length = 126 if wide else len(payload)
    return bytes((kind, 0x80 | length)) + wide + bytes(4) + payload


def look_at(kind: int, data: bytes, start: int, stop: int) -> Look | None:
    """The data frame at these places of `data`; None for any other message."""
    return _binary(data, start, stop) if kind == BINARY else _json(data, start, stop)


def newest_value(kind: int, data: bytes, start: int, stop: int) -> float:
    """The newest value of the first row alone, which is quicker; NaN if there is none."""
    if kind == BINARY:
        return _newest_binary(data, start, stop)
    first = data.find(b"[[", start, stop)
    if first < 0:
        return math.nan
    row = data[first + 2 : data.find(b"]", first, stop)]
    newest = row[row.rfind(b",") + 1 :].strip()
    return float(newest) if newest and newest != b"null" else math.nan


def _newest_binary(data: bytes, start: int, stop: int) -> float:
    if stop - start < _HEAD.size or data[start] != _VERSION:
        return math.nan
    rows, columns = struct.unpack_from("<II", data, start + 8)
    if not rows or not columns:
        return math.nan
    at = start + _HEAD.size + 8 * columns + 8 * (columns - 1)
    value: float = _VALUE.unpack_from(data, at)[0]
    return value


def _binary(data: bytes, start: int, stop: int) -> Look | None:
    if stop - start < _HEAD.size or data[start] != _VERSION:
        return None
    _, kind, flags, watch, _, columns, _, epoch, seq, _ = _HEAD.unpack_from(data, start)
    if kind not in (SNAPSHOT, UPDATE):
        return None
    time_ms = _VALUE.unpack_from(data, start + _HEAD.size + 8 * (columns - 1))[0] if columns else 0
    value = _newest_binary(data, start, stop)
    return Look(kind, watch, f"{epoch:08x}", int(seq), bool(flags & CONFLATED), time_ms, value)


def _json(data: bytes, start: int, stop: int) -> Look | None:
    if data.startswith(b'{"type":"update"', start):
        kind = UPDATE
    elif data.startswith(b'{"type":"snapshot"', start):
        kind = SNAPSHOT
    else:
        return None
    watch = int(_between(data, b'"id":', b",", start, stop) or 0)
    # The cursor follows the values, and nothing that follows it is long but a snapshot's band.
    text = _between(data, b'"cursor":"', b'"', max(start, stop - _SEEK), stop)
    if not text:
        text = _between(data, b'"cursor":"', b'"', start, stop)
    epoch, _, seq = text.decode().partition(":")
    conflated = data.find(b'"conflated":true', max(start, stop - _SEEK), stop) >= 0
    times = _between(data, b'"times":[', b"]", start, stop)
    time_ms = float(times[times.rfind(b",") + 1 :] or 0)
    value = newest_value(TEXT, data, start, stop)
    return Look(kind, watch, epoch, int(seq or 0), conflated, time_ms, value)


def _between(data: bytes, before: bytes, after: bytes, start: int, stop: int) -> bytes:
    begin = data.find(before, start, stop)
    if begin < 0:
        return b""
    begin += len(before)
    return data[begin : data.find(after, begin, stop)]
