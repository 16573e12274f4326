"""A client of the live protocol, for tests: it keeps what it was shown, as a browser does."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from dashboard import binary_frames, protocol
from metrics.columns import Floats
from metrics.query import Matrix
from tests.support.waiting import DEADLINE_S

OFFERED = ["pulseboard.v1.json"]  # by clients that do not say what they offer

Labels = frozenset[tuple[str, str]]
Table = dict[Labels, dict[int, float]]
Kind = TypeVar("Kind", bound=protocol.ServerMessage)

_decoder: msgspec.json.Decoder[protocol.ServerMessage] = msgspec.json.Decoder(
    protocol.ServerMessage
)


def read(message: str | bytes) -> protocol.ServerMessage:
    """A server's message; raises when it is not what the protocol's definition says."""
    return binary_frames.decode(message) if isinstance(message, bytes) else _decoder.decode(message)


class Shown:
    """What a client shows of one query: snapshots replace it, updates are merged into it."""

    def __init__(self) -> None:
        self.labels: list[Labels] = []
        self.values: list[dict[int, float]] = []
        self.low: list[dict[int, float]] = []
        self.high: list[dict[int, float]] = []
        self.cursor: str | None = None
        self.newest_ms = 0
        self.oldest_ms = 0
        self.snapshots = 0

    def take(self, frame: protocol.ServerMessage) -> None:
        """Applies a snapshot or an update; one that does not fit fails the test."""
        assert isinstance(frame, protocol.Snapshot | protocol.Update)
        if isinstance(frame, protocol.Snapshot):
            self.snapshots += 1
            self.labels, self.values, self.low, self.high = [], [], [], []
            self.newest_ms = max(frame.times, default=0)
            self.oldest_ms = min(frame.times, default=0)
        self.labels += [frozenset(line.labels.items()) for line in frame.series]
        assert len(set(self.labels)) == len(self.labels), "a line was announced twice"
        assert (frame.low is None) == (frame.high is None)
        self._merge(self.values, frame.times, frame.values)
        self._merge(self.low, frame.times, frame.low or frame.values)
        self._merge(self.high, frame.times, frame.high or frame.values)
        self.newest_ms = max(self.newest_ms, max(frame.times, default=0))
        self.cursor = frame.cursor

    def _merge(
        self, held: list[dict[int, float]], times: list[int], rows: list[list[float | None]]
    ) -> None:
        held += [{} for _ in range(len(self.labels) - len(held))]
        assert len(rows) == len(self.labels), "a row for every line known"
        for row, values in zip(held, rows, strict=True):
            assert len(values) == len(times)
            for time_ms, value in zip(times, values, strict=True):
                row.pop(time_ms, None)
                if value is not None:
                    row[time_ms] = value

    def since(self, start_ms: int) -> Table:
        """The lines that have a value at or after `start_ms`, with these values."""
        return self._since(self.values, start_ms)

    def band_since(self, start_ms: int) -> tuple[Table, Table]:
        """The least and the greatest values in the same form."""
        return self._since(self.low, start_ms), self._since(self.high, start_ms)

    def _since(self, rows: list[dict[int, float]], start_ms: int) -> Table:
        found = {
            labels: {time_ms: value for time_ms, value in row.items() if time_ms >= start_ms}
            for labels, row in zip(self.labels, rows, strict=True)
        }
        return {labels: row for labels, row in found.items() if row}


def table(matrix: Matrix, values: Floats | None = None) -> Table:
    """An evaluation in the same form; of others than its values if given."""
    rows = matrix.values if values is None else values
    return {
        frozenset(labels.items()): {
            int(time_ms): value
            for time_ms, value in zip(matrix.times.tolist(), row, strict=True)
            if not math.isnan(value)
        }
        for labels, row in zip(matrix.labels, rows.tolist(), strict=True)
    }


class LiveClient:
    """One open socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._ids = iter(range(1, 10_000))

    async def say(self, frame: protocol.ClientMessage | str | bytes) -> None:
        """Sends a frame, or any text or bytes."""
        if isinstance(frame, msgspec.Struct):
            frame = msgspec.json.encode(frame).decode()
        await self.socket.send(frame)

    async def hear(self) -> protocol.ServerMessage:
        """The next frame of any kind."""
        return read(await asyncio.wait_for(self.socket.recv(), DEADLINE_S))

    async def get(self, kind: type[Kind], id: int | None = None) -> Kind:
        """The next frame of this kind (and id); what comes before it is dropped."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                frame = await self.hear()
                if isinstance(frame, kind) and id in (None, getattr(frame, "id", None)):
                    return frame

    async def hello(self, token: str) -> protocol.Welcome:
        await self.say(protocol.Hello(token))
        return await self.get(protocol.Welcome)

    async def watch(self, expr: str, **options: Any) -> int:
        """Begins a watch of the last 60 s by the second, unless told otherwise; its id."""
        id = next(self._ids)
        asked = {"range_ms": 60_000, "step_ms": 1000, **options}
        await self.say(protocol.Watch(id, expr, **asked))
        return id

    async def until_shown(
        self, shown: Shown, id: int, wanted: Iterable[float]
    ) -> protocol.ServerMessage:
        """Takes frames until all these values have been seen; the last frame."""
        missing = set(wanted)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                frame = await self.hear()
                if getattr(frame, "id", None) == id:
                    assert not isinstance(frame, protocol.Error), frame.message
                    shown.take(frame)
                    missing -= {value for row in shown.values for value in row.values()}
                    if not missing:
                        return frame

    async def goodbye(self) -> tuple[int, str]:
        """Code and reason with which the server closes the socket."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    await self.hear()
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "closed without a code"
            return closed.rcvd.code, closed.rcvd.reason


@asynccontextmanager
async def live(
    url: str,
    *,
    token: str = "",
    cookie: str = "",
    origin: str | None = None,
    subprotocols: Iterable[str] | None = None,
) -> AsyncIterator[LiveClient]:
    """An open socket; with a token or a cookie (and an origin) also a welcomed one."""
    headers = {"Cookie": cookie} if cookie else {}
    async with connect(
        url,
        origin=origin,  # type: ignore[arg-type]
        subprotocols=list(OFFERED if subprotocols is None else subprotocols) or None,  # type: ignore[arg-type]
        additional_headers=headers,
        compression=None,
        max_size=None,
    ) as socket:
        client = LiveClient(socket)
        if token:
            await client.hello(token)
        yield client


def as_json(frame: protocol.ServerMessage | protocol.ClientMessage) -> Any:
    return json.loads(msgspec.json.encode(frame))
