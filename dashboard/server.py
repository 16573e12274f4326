"""Runs the site: uvicorn in this process, with our protocol classes; starts, drains, stops.

Channels has no lifespan, so what must run beside the site (collector, log tail, hub) is given as
an async context manager: entered before the first request is taken, left after the last one.

How it stops, on SIGTERM, SIGINT or SIGHUP, within five seconds whatever the clients do:
`state.draining` is set (so /readyz says no) and, after DRAIN_SECONDS if a load balancer needs them,
nobody new is taken; the hooks given to `state.on_drain` run, so the hub can say goodbye; every
socket is closed with 1012; requests under way finish or are dropped; the background is left; the
exit code is 0.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any, cast

import uvicorn
from django.core.exceptions import RequestAborted

from dashboard.child import READY, Leash
from dashboard.http_protocol import HttpConnection
from dashboard.leaving import FORCED_STOP_TIMEOUT_S, STOP_TIMEOUT_S, leave_in_time, leaving_within
from dashboard.listener import BACKLOG
from dashboard.serving import state
from dashboard.socket import LiveSocket

__all__ = ["Server", "fast_loop", "make_config", "run", "state"]

logger = logging.getLogger("dashboard.server")

Background = Callable[[], AbstractAsyncContextManager[Any]]
Application = Callable[..., Awaitable[None]]

PING_INTERVAL_S = 15.0
PONG_TIMEOUT_S = 10.0  # so a dead peer is noticed within 25 s
# Shares of the five seconds that a stop may take (serving.HOOKS_TIMEOUT_S is another).
CONNECTIONS_TIMEOUT_S = 2.0
TASKS_TIMEOUT_S = 0.4
BACKGROUND_TIMEOUT_S = 1.2  # at least
BACKGROUND_DEADLINE_S = 4.5
ACCEPTED_AT_ONCE = 16
LOOK_AGAIN_S = 0.02
LINGER_TICK_S = 0.1
LEAVE_TIMEOUT_S = 30.0


@asynccontextmanager
async def no_background() -> AsyncIterator[None]:
    """Nothing runs beside the site."""
    yield


class Server(uvicorn.Server):
    """uvicorn's server with our way to start and to stop."""

    def __init__(
        self,
        config: uvicorn.Config,
        background: Background = no_background,
        on_ready: Callable[[], None] | None = None,
        handle_signals: bool = True,
        leash: Leash | None = None,
        linger_s: float = 0.0,
    ) -> None:
        super().__init__(config)
        self.background = background
        self.on_ready = on_ready
        self.handle_signals = handle_signals
        self.leash = leash
        self.linger_s = linger_s
        self.when_stopping: Callable[[float], None] | None = None  # within so many seconds
        self.serving = asyncio.Event()
        self._listeners: list[socket.socket] = []
        self._told = asyncio.Event()  # to stop or to leave
        self._stop = asyncio.Event()
        self._stop_began_s = 0.0

    def stop(self) -> None:
        """Begin to stop; a second call drops every connection and leaves within a second.

        Not in a child, which hears of its supervisor's death twice.
        """
        if self._stop.is_set():
            if self.leash is None and not self.force_exit:
                self.force_exit = True
                if self.when_stopping is not None:
                    self.when_stopping(FORCED_STOP_TIMEOUT_S)
        elif not self.linger_s or not self.serving.is_set():
            self._begin_to_stop()
        self._stop.set()
        self._told.set()

    def _begin_to_stop(self) -> None:
        if self.when_stopping is not None:
            self.when_stopping(STOP_TIMEOUT_S)
        self._stop_began_s = time.monotonic()
        self.should_exit = True

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        state.draining = False
        with self.capture_signals():
            if self.leash is not None:
                loop = asyncio.get_running_loop()
                self.leash.follow(loop, self._told.set, lambda: self._lost_supervisor(loop))
            async with leaving_within(self._seconds_left, self.background()):
                if not self.should_exit:
                    await self._serve(sockets)
        state.ready = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # libuv takes one connection of each listening socket a turn, so a new publisher would wait
        # for a turn of each browser that came before it.
        doors = [door for one in sockets or [] for door in _copies(one)]
        await super().startup(doors)
        self._listeners = doors
        state.ready = True
        self.serving.set()
        if self.on_ready is not None:
            self.on_ready()
        if self.leash is not None:
            self.leash.say(READY)

    async def main_loop(self) -> None:
        while not self._told.is_set():
            await self.on_tick(0)  # sets the Date header, good for a second
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 1.0)
        if not self._stop.is_set():
            await self._leave()
        if not self.should_exit:
            state.begin_drain()
            until_s = time.monotonic() + self.linger_s
            while time.monotonic() < until_s and not self.force_exit:
                await self.on_tick(0)
                await asyncio.sleep(LINGER_TICK_S)
            self._begin_to_stop()

    async def _leave(self) -> None:
        """Another process has taken our place: nobody waits for us, so clients may go slowly."""
        self.linger_s = 0.0
        self._close_listeners()
        leaving = asyncio.ensure_future(state.leave())
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait(
            (leaving, stopped), timeout=LEAVE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        if leaving.done() and leaving.exception() is not None:
            logger.error("letting clients go failed", exc_info=leaving.exception())
        leaving.cancel()
        stopped.cancel()
        if not self._stop.is_set():
            self.stop()

    def _close_listeners(self) -> None:
        for server in self.servers:
            server.close()
        for listener in self._listeners:
            listener.close()

    def _lost_supervisor(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the leash's thread."""
        leave_in_time()
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self.stop)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._close_listeners()
        await state.drain()
        connections = self.server_state.connections
        for connection in list(connections):
            connection.shutdown()
        await self._wait(CONNECTIONS_TIMEOUT_S, connections)
        for connection in list(connections):
            cast(LiveSocket | HttpConnection, connection).abort()
        await self._wait(TASKS_TIMEOUT_S, connections, self.server_state.tasks)
        asyncio.get_running_loop().set_exception_handler(_hear_of_error)
        for task in list(self.server_state.tasks):
            task.cancel()
        await self._wait(TASKS_TIMEOUT_S, self.server_state.tasks)

    def _seconds_left(self) -> float:
        """What the background has to stop in: all that the connections did not need."""
        return max(
            BACKGROUND_TIMEOUT_S,
            BACKGROUND_DEADLINE_S - (time.monotonic() - self._stop_began_s),
        )

    async def _wait(self, timeout_s: float, *until_empty: set[Any]) -> None:
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        while any(until_empty) and not self.force_exit:
            if asyncio.get_running_loop().time() > deadline_s:
                return
            await asyncio.sleep(LOOK_AGAIN_S)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """uvicorn's own way raises the signal again at the end, and so never exits with 0."""
        if not self.handle_signals:
            yield
            return
        loop = asyncio.get_running_loop()
        heard = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            heard.append(signal.SIGHUP)  # not under nohup
        for number in heard:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in heard:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)  # we are leaving already


def _hear_of_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Django leaves this error behind where a request is cancelled whose client has gone."""
    if not isinstance(context.get("exception"), RequestAborted):
        loop.default_exception_handler(context)


def _copies(listener: socket.socket) -> list[socket.socket]:
    """The listener, and so many more of the same that each turn accepts ACCEPTED_AT_ONCE."""
    return [listener, *(listener.dup() for _ in range(ACCEPTED_AT_ONCE - 1))]


def make_config(
    app: Application,
    socket_class: type[LiveSocket] = LiveSocket,
    http_class: type[HttpConnection] = HttpConnection,
    trusted_proxies: Sequence[str] = (),
    ping_interval_s: float = PING_INTERVAL_S,
    pong_timeout_s: float = PONG_TIMEOUT_S,
    tls: ssl.SSLContext | None = None,
) -> uvicorn.Config:
    """uvicorn's settings. Only `trusted_proxies` may say who a client is (X-Forwarded-*)."""
    return uvicorn.Config(
        cast(Any, app),
        http=http_class,
        ws=socket_class,
        ws_max_size=socket_class.limits.message_bytes,
        ws_ping_interval=ping_interval_s,
        ws_ping_timeout=pong_timeout_s,
        ws_per_message_deflate=False,
        interface="asgi3",
        lifespan="off",
        backlog=BACKLOG,
        log_config=None,
        log_level="warning",
        access_log=False,  # paths may hold one-time links
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        server_header=False,
        ssl_context_factory=(lambda config, default: tls) if tls is not None else None,
    )


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it can be had; there is none for Windows."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def run(
    app: Application,
    listener: socket.socket,
    *,
    background: Background = no_background,
    on_ready: Callable[[], None] | None = None,
    trusted_proxies: Iterable[str] = (),
    tls: ssl.SSLContext | None = None,
    leash: Leash | None = None,
    linger_s: float = 0.0,
) -> None:
    """Serve `app` on `listener` until SIGTERM or SIGINT, then stop within five seconds.

    `on_ready` is called once, when requests are answered. `background` is entered before that and
    left at the end. What `background` raises on entering is raised here. `leash` leads to the
    supervisor of several processes. So many seconds before it stops, `linger_s`, /readyz says no.
    """

    async def main() -> None:
        server = Server(
            make_config(app, trusted_proxies=tuple(trusted_proxies), tls=tls),
            background,
            on_ready,
            leash=leash,
            linger_s=linger_s,
        )
        server.when_stopping = leave_in_time
        await server.serve([listener])

    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(main())
