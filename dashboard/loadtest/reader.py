"""A client of /live/, as light as Python allows: so that the server is measured and not it.

Frames are told apart by their headers alone; what more is read of them is the subclass's choice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from dashboard.loadtest import wire
from dashboard.loadtest.wire import BINARY, CLOSE, JSON_FORM, PING, PONG, TEXT

ABNORMAL = 1006
DATA = (TEXT, BINARY)
NO_CODE = 1005


@dataclass(frozen=True)
class Greeting:
    """What a client says first, and how many answers it waits for.

    The defaults are Pulseboard's; `answered_by` are beginnings of messages that are answers, and
    a binary message (a snapshot) is one too. With `opened_by` it says nothing before such a
    message.
    """

    frames: Sequence[Mapping[str, Any] | str]
    answers: int
    path: str = "/live/"
    subprotocol: str = JSON_FORM
    answered_by: tuple[bytes, ...] = (b'{"type":"welcome"', b'{"type":"snapshot"')
    opened_by: bytes = b""
    pongs: Mapping[bytes, bytes] = field(default_factory=dict)  # pings that are messages

    def frame_bytes(self) -> bytes:
        texts = (one if isinstance(one, str) else json.dumps(one) for one in self.frames)
        return b"".join(wire.client_frame(TEXT, text.encode()) for text in texts)


def watching(
    token: str,
    expressions: Sequence[str],
    range_ms: int = 60_000,
    step_ms: int = 1000,
    subprotocol: str = JSON_FORM,
    cursors: Mapping[int, str] | None = None,
) -> Greeting:
    """A page that watches these expressions, by default at a step of 1 s as the product's do.

    `cursors` by watch id: those of the last frames before a reconnect.
    """
    watches: list[Mapping[str, Any]] = []
    for id, text in enumerate(expressions, start=1):
        watch = {"type": "watch", "id": id, "expr": text, "range_ms": range_ms, "step_ms": step_ms}
        if cursors and cursors.get(id):
            watch["cursor"] = cursors[id]
        watches.append(watch)
    hello = {"type": "hello", "token": token}
    # A watch that goes on from its cursor may have nothing to be told yet.
    answers = 1 + sum("cursor" not in watch for watch in watches)
    return Greeting([hello, *watches], answers, subprotocol=subprotocol)


class Reader(asyncio.Protocol):
    """One socket. `ready` is done when all answers to the greeting came; ConnectionError if not.

    `code` is 0 until the socket is closed, then the close code (1006: none came).
    """

    looking = False  # whether look() is called with every message

    def __init__(self, host: str, greeting: Greeting) -> None:
        self.frames = 0
        self.bytes = 0
        self.code = 0
        self.reason = ""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._host = host
        self._greeting = greeting
        self._answers = greeting.answers
        self._open = False
        self._left = False
        self._rest = b""
        self._ack_ms = 0
        self._acked = 0
        self._ack_timer: asyncio.TimerHandle | None = None

    def itself(self) -> Reader:
        """The protocol factory that create_connection() asks for."""
        return self

    def look(self, kind: int, data: bytes, start: int, stop: int) -> None:
        """A message came, at these places of `data`; `kind` is TEXT or BINARY."""

    # The transport calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has no common base
        greeting = self._greeting
        self._transport.write(wire.handshake(self._host, greeting.path, greeting.subprotocol))

    def connection_lost(self, error: Exception | None) -> None:
        self.code = self.code or ABNORMAL
        if self._ack_timer is not None:
            self._ack_timer.cancel()
        self._fail(f"the server closed a socket: {error or 'without saying why'}")

    def data_received(self, data: bytes) -> None:
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
            kind = data[position]
            if kind in DATA:
                self.frames += 1
                self.bytes += length
                if self.looking:
                    self.look(kind, data, start, stop)
                if self._answers:
                    self._greet(kind, data[start:stop])
                elif self._greeting.pongs and length < 8:
                    self._answer_ping(data[start:stop])
            else:
                self._control(kind, data[start:stop])
            position = stop
        self._rest = data[position:]
        if self._ack_ms and self._ack_timer is None:
            self._ack_later()

    # What its owner does.

    def close(self) -> None:
        """Drops the connection."""
        self.ready.cancel()
        self._transport.abort()

    def say(self, payload: bytes) -> None:
        self._transport.write(wire.client_frame(TEXT, payload))

    def leave(self, code: int = 1000) -> None:
        """Says goodbye as a page does that is left."""
        self._left = True
        if not self._transport.is_closing():
            self._transport.write(wire.client_frame(CLOSE, code.to_bytes(2, "big")))

    def pause(self) -> None:
        """Reads nothing until resume(): what the server sends stays with the kernel."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # The conversation.

    def _read_handshake(self, data: bytes) -> int:
        """How many bytes the handshake takes; none until all of it is there."""
        head, end, _ = data.partition(b"\r\n\r\n")
        if not end:
            return 0
        if b" 101 " not in head[:16]:
            self._fail(f"the handshake was refused: {head[:100].decode(errors='replace')}")
            return len(data)
        self._open = True
        if not self._greeting.opened_by:
            self._transport.write(self._greeting.frame_bytes())
        if not self._answers:
            self.ready.set_result(None)
        return len(head) + 4

    def _greet(self, kind: int, payload: bytes) -> None:
        if self._greeting.opened_by and payload.startswith(self._greeting.opened_by):
            self._transport.write(self._greeting.frame_bytes())
        if kind == TEXT and b'"error"' in payload[:20]:
            self._fail(payload.decode())
        elif kind == TEXT and payload.startswith(b'{"type":"welcome"'):
            self._ack_ms = json.loads(payload).get("ack_ms", 0)
        if kind == BINARY or payload.startswith(self._greeting.answered_by):
            self._answers -= 1
            if self._answers == 0 and not self.ready.done():
                self.ready.set_result(None)

    def _answer_ping(self, payload: bytes) -> None:
        answer = self._greeting.pongs.get(payload)
        if answer is not None:
            self.say(answer)

    def _ack_later(self) -> None:
        if self.frames != self._acked:
            loop = asyncio.get_running_loop()
            self._ack_timer = loop.call_later(self._ack_ms / 1000, self._ack)

    def _ack(self) -> None:
        """Says how many messages came, to a server that cannot know it otherwise."""
        self._ack_timer = None
        self._acked = self.frames
        if not self._transport.is_closing():
            self.say(b'{"type":"ack","frames":%d}' % self.frames)

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self._transport.write(wire.client_frame(PONG, payload))
        elif kind == CLOSE:
            self.code = int.from_bytes(payload[:2], "big") if len(payload) > 1 else NO_CODE
            self.reason = payload[2:].decode(errors="replace")
            if not self._left:
                self._transport.write(wire.client_frame(CLOSE, payload[:2]))
            self._transport.close()
            self._fail(f"the server closed a socket: {self.code} {self.reason}")

    def _fail(self, why: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(why))
