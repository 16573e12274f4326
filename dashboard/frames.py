"""A server's message about a watch: encoded once in each form that somebody reads, and shared.

Server frames are not masked (RFC 6455, 5.1), so a whole frame, header and payload, is the same
for everybody: those on a socket that takes finished frames are written the very same bytes.
"""

from __future__ import annotations

import asyncio
from enum import IntEnum
from typing import cast

import msgspec

from dashboard import binary_frames, protocol
from dashboard.binary_frames import Grid
from metrics.columns import Floats

SHARED = 16  # finished messages that a frame keeps: for 8 watch ids in two forms, say
SMALL_VALUES = 20_000  # encoded at once, in a few ms
TEXT, BINARY = 0x81, 0x82  # first byte of an unfragmented server frame

Message = str | bytes


class Form(IntEnum):
    """How a connection takes messages: as a subprotocol says, and as a server frame or not."""

    JSON = 0
    BINARY = 1
    JSON_FRAMED = 2
    BINARY_FRAMED = 3

    @classmethod
    def of(cls, subprotocol: str, framed: bool) -> Form:
        return cls((subprotocol == protocol.BINARY) + 2 * framed)


def server_frame(first: int, payload: bytes) -> bytes:
    """An unmasked frame as it goes over the wire."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return b"%c\x7e%b%b" % (first, size.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (first, size.to_bytes(8, "big"), payload)


def dressed(text: str, form: Form) -> Message:
    """A message that is JSON in every form, as a connection of this form takes it."""
    return server_frame(TEXT, text.encode()) if form >= Form.JSON_FRAMED else text


class Frame:
    """A message in JSON; only the watch's own id is put in for each of the ids in use.

    Pages of one dashboard give their watches the same ids, so the same message goes to all of
    them. `seq` and `arrived_ns` are those of the ring it stands in: its number there, and
    time.monotonic_ns() of what it tells (0 if unknown).
    """

    __slots__ = ("_made", "_parts", "arrived_ns", "cursor", "seq")

    def __init__(self, encoded: str, cursor: str) -> None:
        """`encoded` has the watch id 0, as its first field."""
        self.cursor = cursor
        self.seq = self.arrived_ns = 0
        self._parts: tuple[str, str] | None = _split(encoded)
        self._made: dict[int, Message] = {}

    def made(self, id: int, form: Form, conflated: bool = False) -> Message:
        """The message for watch `id`: the very same object for all who ask for the same."""
        key = (id << 3) | (conflated << 2) | form
        made = self._made.get(key)
        if made is None:
            made = self._make(id, form, conflated)
            if len(self._made) < SHARED:
                self._made[key] = made
        return made

    def text(self, id: int) -> str:
        """In JSON."""
        text = self.made(id, Form.JSON)
        assert isinstance(text, str)
        return text

    async def prepare(self, form: Form) -> None:
        """Encodes what would hold up the event loop on another thread."""

    def forget(self) -> None:
        """Drops what can be made again."""
        self._made.clear()

    def size_bytes(self) -> int:
        return sum(map(len, self._parts or ()))

    def _make(self, id: int, form: Form, conflated: bool) -> Message:
        return dressed(self._text(id, conflated), form)

    def _text(self, id: int, conflated: bool) -> str:
        assert self._parts is not None
        head, tail = self._parts
        return f"{head}{id}{tail}"


class GridFrame(Frame):
    """A snapshot or an update of a query, kept as arrays."""

    __slots__ = ("_binary", "_encoding", "grid")

    def __init__(self, grid: Grid, cursor: str) -> None:
        self.grid = grid
        self.cursor = cursor
        self.seq = self.arrived_ns = 0
        self._parts = None
        self._binary: bytes | None = None
        self._made = {}
        self._encoding: dict[bool, asyncio.Future[None]] = {}  # by whether it is the binary form

    async def prepare(self, form: Form) -> None:
        binary = bool(form & 1)
        ready = self._binary if binary else self._parts
        values = self.grid.values.size * (3 if self.grid.band else 1)
        if ready is not None or values <= SMALL_VALUES:
            return
        if binary not in self._encoding:
            encode = self._encode_binary if binary else self._encode_json
            self._encoding[binary] = asyncio.ensure_future(asyncio.to_thread(encode))
        await asyncio.shield(self._encoding[binary])

    def forget(self) -> None:
        super().forget()
        self._parts = self._binary = None

    def size_bytes(self) -> int:
        return self.grid.size_bytes()

    def _make(self, id: int, form: Form, conflated: bool) -> Message:
        if not form & 1:
            return super()._make(id, form, conflated)
        if self._binary is None:
            self._encode_binary()
        encoded = self._binary
        assert encoded is not None
        at = binary_frames.ID_AT
        flags = encoded[2] | (binary_frames.CONFLATED if conflated else 0)
        payload = b"%b%c\0%b%b" % (
            encoded[:2], flags, id.to_bytes(4, "little"), encoded[at + 4 :],
        )  # fmt: skip
        return server_frame(BINARY, payload) if form == Form.BINARY_FRAMED else payload

    def _text(self, id: int, conflated: bool) -> str:
        if self._parts is None:
            self._encode_json()
        text = super()._text(id, conflated)
        return f'{text[:-1]},"conflated":true}}' if conflated else text

    def _encode_binary(self) -> None:
        self._binary = binary_frames.encode(self.grid, self.cursor)

    def _encode_json(self) -> None:
        self._parts = _split(protocol.encode(self._message()))

    def _message(self) -> protocol.ServerMessage:
        grid = self.grid
        times, values = grid.times.tolist(), _rows(grid.values)
        low, high = map(_rows, grid.band) if grid.band is not None else (None, None)
        if grid.kind == binary_frames.SNAPSHOT:
            return protocol.Snapshot(
                0, grid.added, times, values, grid.step_ms, self.cursor, low, high
            )
        return protocol.Update(0, times, values, self.cursor, grid.added, low, high)


def _split(encoded: str) -> tuple[str, str]:
    head, _, tail = encoded.partition('"id":0,')
    return f'{head}"id":', f",{tail}"


def _rows(values: Floats) -> list[list[protocol.Number]]:
    if values.size <= SMALL_VALUES:
        return cast(list[list[protocol.Number]], values.tolist())
    # Row by row: the event loop's thread gets its turn in between.
    return [msgspec.Raw(protocol.encode_row(row.tolist())) for row in values]  # type: ignore[misc]
