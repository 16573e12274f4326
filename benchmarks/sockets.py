"""Browsers, as light as Python allows: so that the server is measured and not the client.

Of an update only the newest value is read. That value is a time: publishers here publish the
moment of sending, in ms since 1970. The socket itself is dashboard/loadtest/reader.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dashboard.loadtest import wire
from dashboard.loadtest.reader import Greeting, Reader, watching

__all__ = ["Fleet", "Greeting", "Socket", "watching"]

READY_TIMEOUT_S = 60.0
CONNECTING_AT_ONCE = 25


class Socket(Reader):
    """One browser. `arrivals_ms` and `values`: when each newer value came first.

    With `every`, `ages_ms` holds for every update how old its newest value was on arrival.
    """

    def __init__(self, port: int, greeting: Greeting, every: bool = False) -> None:
        super().__init__(f"127.0.0.1:{port}", greeting)
        self.arrivals_ms: list[float] = []
        self.values: list[float] = []
        self.ages_ms: list[float] = []
        self.every = every
        self._newest = 0.0

    def forget(self) -> None:
        """A new window of measuring begins."""
        self.arrivals_ms, self.values, self.ages_ms = [], [], []

    def look(self, kind: int, data: bytes, start: int, stop: int) -> None:
        at_ms = time.time() * 1000
        value = wire.newest_value(kind, data, start, stop)
        if value != value:  # NaN
            return
        if self.every:
            self.ages_ms.append(at_ms - value)
        if value > self._newest:
            self._newest = value
            self.values.append(value)
            self.arrivals_ms.append(at_ms)


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
            socket.looking = all_sockets or socket.every

    def frames(self) -> int:
        return sum(socket.frames for socket in self.sockets)

    def bytes(self) -> int:
        """Of all messages."""
        return sum(socket.bytes for socket in self.sockets)

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
        return np.concatenate([*latencies, np.array([])]).tolist(), superseded, lost

    def close(self) -> None:
        for socket in self.sockets:
            socket.close()
