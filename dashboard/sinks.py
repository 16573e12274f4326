"""The ways out of a connection. Each takes what is to be written when its network can take it.

`AsgiSink` sends messages one by one, through any ASGI server (or anything else that can send).
`DirectSink` writes finished server frames, all of one wake at once, to a socket of our own server.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from dashboard.acks import Window
from dashboard.cohort import Cohort, Cohorts, Member, Plan
from dashboard.frames import Form, Message
from metrics import stats

AT_ONCE_BYTES = 64 * 1024
SLICE_S = 0.005  # so long connections are written to before others have their turn
IN_A_ROW = 64  # connections

logger = logging.getLogger(__name__)


# Messages, and time.monotonic_ns() of when the oldest sample they tell of came (0: unknown).
Taken = tuple[list[Message], int]
NOTHING: Taken = ([], 0)


class Source(Member, Protocol):
    """What a sink writes comes from (dashboard.connection)."""

    def take(self, most_bytes: int) -> Taken:
        """What is to be written now, up to about so many bytes."""

    def take_own(self) -> list[Message]:
        """Of that the source's own answers alone."""


class Nobody:
    """The source of a sink whose connection has not begun, or has ended."""

    def take(self, most_bytes: int) -> Taken:
        return NOTHING

    def take_own(self) -> list[Message]:
        return []

    def plan(self) -> Plan | None:
        return None

    def enter(self, cohort: Cohort) -> None:
        pass

    def leave_cohort(self, missed: bool = False) -> None:
        pass

    def beat(self, frame: str) -> None:
        pass


NOBODY = Nobody()


class Sink(Protocol):
    form: Form
    source: Source

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
        self.source: Source = NOBODY
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
                messages, arrived_ns = self.source.take(1)
                for message in messages:
                    if self._window is not None:
                        await self._window.admit(len(message))
                    await self._send(message)
                    written += len(message)
                _count(len(messages), sum(map(len, messages)), {arrived_ns: 1})
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

    __slots__ = ("_pump", "_queued", "form", "socket", "source")

    def __init__(self, socket: Socket, form: Form) -> None:
        self.form = form
        self.source: Source = NOBODY
        self._queued = False
        self.socket = socket
        self._pump = Pump.of_loop()
        socket.on_writable = self.wake
        socket.before_close = self._last_words

    def wake(self) -> None:
        if not self._queued:
            self._queued = True
            self._pump.add(self)

    def acknowledge(self, messages: int) -> None:
        """Not needed: the socket says when it takes no more."""

    def next(self) -> Taken:
        """What is to be written now, up to a bound; the rest when it is this one's turn again."""
        self._queued = False
        return self.source.take(AT_ONCE_BYTES) if self.socket.may_write() else NOTHING

    def _last_words(self) -> None:
        """The socket is about to be closed: answers that wait still go before the close frame."""
        if self.socket.may_write():
            own = self.source.take_own()
            if own:
                self.socket.write(_joined(own))

    def fail(self) -> None:
        logger.exception("a live socket cannot be written")
        self.socket.close(1011, "a frame could not be sent")


class Pump:
    """Writes to the direct sinks of an event loop in turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[DirectSink] = deque()
        self._awake: deque[Cohort] = deque()
        self._alone: list[DirectSink] = []  # who was written to without a cohort
        self._scheduled = False
        self.cohorts = Cohorts(self._add_cohort)

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
        self._schedule()

    def _add_cohort(self, cohort: Cohort) -> None:
        self._awake.append(cohort)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        waiting = self._waiting
        turns = len(waiting)  # one that has more to write stands behind the others again
        end_s = time.monotonic() + SLICE_S
        while turns or self._awake:
            if self._awake:
                self._write_to_cohort(self._awake.popleft())
            if turns:
                some = [waiting.popleft() for _ in range(min(turns, IN_A_ROW))]
                turns -= len(some)
                self._write_to(some)
            if time.monotonic() > end_s:
                break
        if not self._awake:
            self._bring_together()
        self._scheduled = False
        if waiting or self._awake:
            self._schedule()

    def _write_to_cohort(self, cohort: Cohort) -> None:
        written, is_more = cohort.write_some(IN_A_ROW)
        if is_more:
            self._awake.append(cohort)
        _count(cohort.frames * written, cohort.size * written, {cohort.arrived_ns: written})

    def _write_to(self, sinks: list[DirectSink]) -> None:
        """First makes ready what each is to be written, then writes.

        One by one, the kernel's part and ours would drive each other out of the processor's caches.
        """
        ready: list[tuple[DirectSink, bytes]] = []
        arrived: dict[int, int] = {}
        frames = size = 0
        for sink in sinks:
            try:
                messages, arrived_ns = sink.next()
            except Exception:
                sink.fail()
                continue
            if messages:
                data = _joined(messages)
                ready.append((sink, data))
                frames += len(messages)
                size += len(data)
                arrived[arrived_ns] = arrived.get(arrived_ns, 0) + 1
        for sink, data in ready:
            try:
                sink.socket.write(data)
            except Exception:
                sink.fail()
        self._alone += (sink for sink, _ in ready)
        _count(frames, size, arrived)

    def _bring_together(self) -> None:
        """Once the cohorts are told all there is: then those who are, too, can join them."""
        alone, self._alone = self._alone, []
        for sink in alone:
            self.cohorts.offer(sink.source, sink.socket, sink.form)


def _joined(messages: list[Message]) -> bytes:
    return messages[0] if len(messages) == 1 else b"".join(messages)  # type: ignore[return-value, arg-type]


def _count(frames: int, size_bytes: int, arrived: Mapping[int, int]) -> None:
    """Tells the statistics what was written; `arrived`: how often what came at which moment."""
    if not frames:
        return
    stats.inc("frames_sent_total", frames)
    stats.inc("bytes_sent_total", size_bytes)
    now_ns = time.monotonic_ns()
    for arrived_ns, times in arrived.items():
        if arrived_ns:
            stats.observe("publish_to_frame_seconds", (now_ns - arrived_ns) / 1e9, times)


_pumps: WeakKeyDictionary[asyncio.AbstractEventLoop, Pump] = WeakKeyDictionary()
