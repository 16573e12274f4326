"""Browsers that come back: what a page does when its socket ends, for thousands in one process.

They wait as static/js/live/afterloss.js says: until the moment the server named in its goodbye, or
else a random time up to a bound that doubles.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import struct
from collections.abc import Sequence
from typing import Any, cast

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
BACKOFF_MS = 500
MOST_BACKOFF_MS = 10_000
OF_DATA = struct.Struct("<4xI12xId")  # watch id, epoch and number of the cursor
SNAPSHOT = 1  # in byte 1


class Browser(asyncio.Protocol):
    """One page of somebody who is signed in. `live_s`: since when all its panels are shown."""

    def __init__(self, crowd: Crowd, cookie: str) -> None:
        self.live_s = 0.0
        self.lost_s = 0.0
        self.snapshots = 0
        self.told = False  # when to come back
        self._crowd = crowd
        self._cookie = cookie
        self._cursors: dict[int, str] = {}
        self._wait_ms: tuple[float, float] | None = None
        self._failures = 0
        self._transport: asyncio.Transport | None = None
        self._begin()

    def _begin(self) -> None:
        self._rest = b""
        self._open = False
        self._missing = set(range(1, 1 + len(self._crowd.panels)))

    def itself(self) -> Browser:
        """The protocol factory that create_connection() asks for."""
        return self

    async def connect(self) -> None:
        """Connects until somebody answers."""
        self._begin()
        while not self._crowd.is_over:
            try:
                await asyncio.get_running_loop().create_connection(
                    self.itself, "127.0.0.1", self._crowd.port
                )
                return
            except OSError:
                self._crowd.refused += 1
                await asyncio.sleep(self._backoff_ms() / 1000)

    def _backoff_ms(self) -> float:
        bound_ms = min(MOST_BACKOFF_MS, BACKOFF_MS * 2**self._failures)
        self._failures += 1
        return random.uniform(0, bound_ms)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has no common base
        host = f"127.0.0.1:{self._crowd.port}"
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET /live/ HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
            f"Cookie: {self._cookie}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: pulseboard.v1, pulseboard.v1.json\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        if self._crowd.is_over:
            return
        if self.live_s:
            self.lost_s, self.live_s = asyncio.get_running_loop().time(), 0.0
        wait_ms, self._wait_ms = self._wait_ms, None
        delay_ms = random.uniform(*wait_ms) if wait_ms else self._backoff_ms()
        self._crowd.later(delay_ms / 1000, self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        position = 0 if self._open else self._read_handshake(data)
        end = len(data)
        while self._open and end - position >= 2:
            length, start = data[position + 1], position + 2
            if length >= 126:
                wide = 2 if length == 126 else 8
                if end - start < wide:
                    break
                length = int.from_bytes(data[start : start + wide], "big")
                start += wide
            if start + length > end:
                break
            self._take(data[position], data, start, start + length)
            position = start + length
        self._rest = data[position:]

    def _read_handshake(self, data: bytes) -> int:
        head, found, _ = data.partition(b"\r\n\r\n")
        if not found:
            return 0
        status = head[9:12]
        if status != b"101":
            self._crowd.refusals[status.decode()] = 1 + self._crowd.refusals.get(status.decode(), 0)
            self.close()
            return len(data)
        self._open = True
        assert self._transport is not None
        self._transport.writelines(
            _frame(TEXT, json.dumps({**panel, "cursor": self._cursors.get(panel["id"])}).encode())
            for panel in self._crowd.panels
        )
        return len(head) + 4

    def _take(self, kind: int, data: bytes, start: int, stop: int) -> None:
        if kind == BINARY:
            id, epoch, number = OF_DATA.unpack_from(data, start)
            self._cursors[id] = f"{epoch:08x}:{number:.0f}"
            self.snapshots += data[start + 1] == SNAPSHOT
            if self._missing:
                self._missing.discard(id)
                if not self._missing:
                    self.live_s = asyncio.get_running_loop().time()
                    self._failures = 0
        elif kind == PING and self._transport is not None:
            self._transport.write(_frame(PONG, data[start:stop]))
        elif kind == CLOSE and self._transport is not None:
            code = data[start : start + 2]
            self._crowd.closes[int.from_bytes(code, "big")] = 1 + self._crowd.closes.get(
                int.from_bytes(code, "big"), 0
            )
            self._transport.write(_frame(CLOSE, code))
            self._transport.close()
        elif data.startswith(b'{"type":"bye"', start):
            self.told = True
            self._wait_ms = tuple(json.loads(data[start:stop])["retry_ms"])
        elif data.startswith(b'{"type":"error"', start):
            self._crowd.errors.append(data[start:stop].decode())


class Crowd:
    """Many browsers, a few people's, all with the same panels open."""

    def __init__(self, port: int, cookies: Sequence[str], panels: Sequence[dict[str, Any]]) -> None:
        self.port = port
        self.panels = panels
        self.is_over = False
        self.refused = 0  # connections, while no server was there
        self.refusals: dict[str, int] = {}  # handshakes, by status
        self.closes: dict[int, int] = {}  # by code
        self.errors: list[str] = []
        self.browsers: list[Browser] = []
        self._cookies = cookies
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, count: int, at_once: int = 50) -> None:
        """Lets so many come, some at a time, and waits until all are live."""
        for first in range(0, count, at_once):
            group = [
                Browser(self, self._cookies[number % len(self._cookies)])
                for number in range(first, min(count, first + at_once))
            ]
            self.browsers += group
            for browser in group:
                await browser.connect()
            await self.until_live(len(self.browsers))

    def later(self, delay_s: float, browser: Browser) -> None:
        """Has a browser connect again."""
        asyncio.get_running_loop().call_later(delay_s, self._return, browser)

    def _return(self, browser: Browser) -> None:
        task = asyncio.get_running_loop().create_task(browser.connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def live(self) -> int:
        return sum(browser.live_s > 0 for browser in self.browsers)

    async def until_live(self, count: int, timeout_s: float = 60.0) -> None:
        """Raises RuntimeError when they are not live in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.live() < count:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise RuntimeError(
                f"{self.live()} of {count} browsers are live: refused {self.refusals}, closed "
                f"{self.closes}, errors {self.errors[:3]}"
            ) from None

    def close(self) -> None:
        self.is_over = True
        for task in self._tasks:
            task.cancel()
        for browser in self.browsers:
            browser.close()


def _frame(kind: int, payload: bytes) -> bytes:
    # A mask of zeros is a mask: the payload stays as it is.
    wide = len(payload).to_bytes(2, "big") if len(payload) > 125 else b""
    length = 126 if wide else len(payload)
    return bytes((kind, 0x80 | length)) + wide + bytes(4) + payload
