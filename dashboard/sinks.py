"""The ways out of a connection. Each takes what is to be written when its network can take it.

`AsgiSink` sends messages one by one, through any ASGI server (or anything else that can send).
`DirectSink` writes finished server frames, all of one wake at once, to a socket of our own server.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from dashboard.acks import Window
from dashboard.frames import Form, Message

AT_ONCE_BYTES = 64 * 1024
SLICE_S = 0.005  # so long connections are written to before others have their turn

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """`take` and `take_own` are the connection's: what is to be written now, up to about so many
    bytes, and of that its own answers alone."""

    form: Form
    take: Callable[[int], list[Message]]
    take_own: Callable[[], list[Message]]

    def wake(self) -> None:
        """There is something to take."""

    def acknowledge(self, messages: int) -> None:
        """The client has received so many messages."""


class AsgiSink:
    """`send` sends one message and takes as long as the network does, if the server tells that;
    where it does not, a `window` bounds what is on its way."""

    def __init__(
        self,
        send: Callable[[Any], Awaitable[None]],
        form: Form = Form.JSON,
        window: Window | None = None,
    ) -> None:
        self.form = form
        self.take: Callable[[int], list[Message]]
        self.take_own: Callable[[], list[Message]]
        self._send = send
        self._window = window
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    def acknowledge(self, messages: int) -> None:
        if self._window is not None:
            self._window.acknowledge(messages)

    async def write(self) -> None:
        """Writes until cancelled, or until sending raises because the socket is gone.

        Raises TooSlow when nothing is acknowledged for too long.
        """
        while True:
            await self._woken.wait()
            written = 0
            while self._woken.is_set() and written < AT_ONCE_BYTES:
                self._woken.clear()
                # One frame at a time: of what waits here a right may go before it is sent.
                for message in self.take(1):
                    if self._window is not None:
                        await self._window.admit(len(message))
                    await self._send(message)
                    written += len(message)
            # Sending may never wait: others must have their turn in between.
            await asyncio.sleep(0)


class Socket(Protocol):
    """A WebSocket to which finished server frames can be written (dashboard.socket)."""

    on_writable: Callable[[], None] | None
    before_close: Callable[[], None] | None

    def may_write(self) -> bool: ...
    def write(self, frames: bytes) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class DirectSink:
    """Without a task: written to when it is woken and the socket takes more."""

    __slots__ = ("_pump", "_queued", "_socket", "form", "take", "take_own")

    def __init__(self, socket: Socket, form: Form) -> None:
        self.form = form
        self.take: Callable[[int], list[Message]]
        self.take_own: Callable[[], list[Message]]
        self._queued = False
        self._socket = socket
        self._pump = Pump.of_loop()
        socket.on_writable = self.wake
        socket.before_close = self._last_words

    def wake(self) -> None:
        if not self._queued:
            self._queued = True
            self._pump.add(self)

    def acknowledge(self, messages: int) -> None:
        """Not needed: the socket says when it takes no more."""

    def write(self) -> None:
        """Writes what there is, up to a bound; the rest when it is this one's turn again."""
        self._queued = False
        if self._socket.may_write():
            self._write(self.take(AT_ONCE_BYTES))

    def _last_words(self) -> None:
        """The socket is about to be closed: answers that wait still go before the close frame."""
        if self._socket.may_write():
            self._write(self.take_own())

    def _write(self, messages: list[Message]) -> None:
        if len(messages) == 1:
            self._socket.write(messages[0])  # type: ignore[arg-type]
        elif messages:
            self._socket.write(b"".join(messages))  # type: ignore[arg-type]

    def fail(self) -> None:
        logger.exception("a live socket cannot be written")
        self._socket.close(1011, "a frame could not be sent")


class Pump:
    """Writes to the direct sinks of an event loop in turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[DirectSink] = deque()
        self._scheduled = False

    @staticmethod
    def of_loop() -> Pump:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        pump = _pumps.get(loop)
        if pump is None:
            pump = _pumps[loop] = Pump(loop)
        return pump

    def add(self, sink: DirectSink) -> None:
        self._waiting.append(sink)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        waiting = self._waiting
        end_s = time.monotonic() + SLICE_S
        # One that has more to write stands behind the others again: not more than a turn each.
        for _ in range(len(waiting)):
            sink = waiting.popleft()
            try:
                sink.write()
            except Exception:
                sink.fail()
            if time.monotonic() > end_s:
                break
        self._scheduled = bool(waiting)
        if waiting:
            self._loop.call_soon(self._run)


_pumps: WeakKeyDictionary[asyncio.AbstractEventLoop, Pump] = WeakKeyDictionary()
