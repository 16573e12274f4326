"""Browsers, as light as Python allows: so that the server is measured and not the client.

Frames are told apart by their headers alone; of an update only the newest value is read. That
value is a time: publishers here publish the moment of sending, in ms since 1970.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

READY_TIMEOUT_S = 30.0
CONNECTING_AT_ONCE = 25
TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A


@dataclass(frozen=True)
class Greeting:
    """What a browser says first, and how many answers it waits for."""

    frames: Sequence[dict[str, Any]]
    answers: int


def watching(token: str, expressions: Sequence[str], range_ms: int = 60_000) -> Greeting:
    """A page that watches these expressions at a step of 1 s, as the product's pages do."""
    watches = [
        {"type": "watch", "id": id, "expr": text, "range_ms": range_ms, "step_ms": 1000}
        for id, text in enumerate(expressions, start=1)
    ]
    return Greeting([{"type": "hello", "token": token}, *watches], 1 + len(watches))


class Socket(asyncio.Protocol):
    """One browser. `arrivals_ms` and `values`: when each newer value came first.

    With `every`, `ages_ms` holds for every update how old its newest value was on arrival.
    """

    def __init__(self, port: int, greeting: Greeting, every: bool = False) -> None:
        self.frames = 0
        self.bytes = 0
        self.arrivals_ms: list[float] = []
        self.values: list[float] = []
        self.ages_ms: list[float] = []
        self.tracking = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._every = every
        self._port = port
        self._greeting = greeting
        self._answers = greeting.answers
        self._newest = 0.0
        self._open = False
        self._rest = b""

    def itself(self) -> Socket:
        """The protocol factory that create_connection() asks for."""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has no common base
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET /live/ HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: pulseboard.v1.json\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the server closed a socket: {error or 'without saying why'}")

    def data_received(self, data: bytes) -> None:
        at_ms = time.time() * 1000
        if self._rest:
            data = self._rest + data
        position = 0 if self._open else self._read_handshake(data)
        end = len(data)
        while end - position >= 2:
            length, start = data[position + 1], position + 2
            if length >= 126:
                wide = 2 if length == 126 else 8
                if end - start < wide:
                    break
                length = int.from_bytes(data[start : start + wide], "big")
                start += wide
            stop = start + length
            if stop > end:
                break
            if data[position] == TEXT:
                self.frames += 1
                self.bytes += length
                if self.tracking:
                    self._note(data, start, stop, at_ms)
                elif self._answers:
                    self._greet(data[start:stop])
            else:
                self._control(data[position], data[start:stop])
            position = stop
        self._rest = data[position:]

    def forget(self) -> None:
        """A new window of measuring begins."""
        self.arrivals_ms, self.values, self.ages_ms = [], [], []

    def close(self) -> None:
        self.ready.cancel()
        self._transport.abort()

    def _read_handshake(self, data: bytes) -> int:
        """How many bytes the handshake takes; none until all of it is there."""
        head, end, _ = data.partition(b"\r\n\r\n")
        if not end:
            return 0
        if b" 101 " not in head[:16]:
            self._fail(f"the handshake was refused: {head[:100]!r}")
            return len(data)
        self._open = True
        for frame in self._greeting.frames:
            self._send(TEXT, json.dumps(frame).encode())
        return len(head) + 4

    def _greet(self, payload: bytes) -> None:
        if b'"error"' in payload[:20]:
            self._fail(payload.decode())
        elif b"welcome" in payload[:30] or b"snapshot" in payload[:30]:
            self._answers -= 1
            if self._answers == 0 and not self.ready.done():
                self.ready.set_result(None)

    def _note(self, data: bytes, start: int, stop: int, at_ms: float) -> None:
        first = data.find(b"[[", start, stop)
        if first < 0:
            return
        row = data[first + 2 : data.find(b"]", first, stop)]
        newest = row[row.rfind(b",") + 1 :].strip()
        if not newest or newest == b"null":
            return
        value = float(newest)
        if self._every:
            self.ages_ms.append(at_ms - value)
        if value > self._newest:
            self._newest = value
            self.values.append(value)
            self.arrivals_ms.append(at_ms)

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self._send(PONG, payload)
        elif kind == CLOSE:
            self._fail(f"the server closed a socket: {payload[2:]!r}")

    def _send(self, kind: int, payload: bytes) -> None:
        # A mask of zeros is a mask: the payload stays as it is.
        wide = len(payload).to_bytes(2, "big") if len(payload) > 125 else b""
        length = 126 if wide else len(payload)
        self._transport.write(bytes((kind, 0x80 | length)) + wide + bytes(4) + payload)

    def _fail(self, why: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(why))


class Fleet:
    """Many browsers in this process."""

    def __init__(self, port: int) -> None:
        self.sockets: list[Socket] = []
        self._port = port

    async def open(self, count: int, greeting: Greeting, every: int = 0) -> None:
        """Connects, greets and waits for the answers; the first `every` look at every frame."""
        loop = asyncio.get_running_loop()
        for first in range(0, count, CONNECTING_AT_ONCE):
            group = [
                Socket(self._port, greeting, every=number < every)
                for number in range(first, min(count, first + CONNECTING_AT_ONCE))
            ]
            for socket in group:
                await loop.create_connection(socket.itself, "127.0.0.1", self._port)
            async with asyncio.timeout(READY_TIMEOUT_S):
                await asyncio.gather(*(socket.ready for socket in group))
            self.sockets += group

    def track(self, all_sockets: bool = True) -> None:
        """Values are looked at from now on; with False only by those that look at every frame."""
        for socket in self.sockets:
            socket.forget()
            socket.tracking = all_sockets or socket._every

    def frames(self) -> int:
        return sum(socket.frames for socket in self.sockets)

    def latencies_ms(self, sent_ms: Sequence[float]) -> tuple[list[float], int, int]:
        """Of every value sent, at every browser: how long until it, or a newer one, was there.

        Also how many were never shown themselves, because a newer one was, and how many never
        came in any way.
        """
        latencies: list[NDArray[np.float64]] = []
        superseded = lost = 0
        sent = np.array(sent_ms)
        for socket in self.sockets:
            values, arrivals = np.array(socket.values), np.array(socket.arrivals_ms)
            first = np.searchsorted(values, sent)
            came = first < len(values)
            lost += int((~came).sum())
            superseded += int((values[first[came]] != sent[came]).sum())
            latencies.append(arrivals[first[came]] - sent[came])
        return np.concatenate(latencies).tolist(), superseded, lost

    def close(self) -> None:
        for socket in self.sockets:
            socket.close()
