"""Runs the site: uvicorn in this process, with our protocol classes; starts, drains, stops.

Channels has no lifespan, so what must run beside the site (collector, log tail, hub) is given as
an async context manager: entered before the first request is taken, left after the last one.

How it stops, on SIGTERM or SIGINT, within five seconds whatever the clients do:
`state.draining` is set (so /readyz says no) and nobody new is taken; the hooks given to
`state.on_drain` run, so the hub can say goodbye; every socket is closed with 1012; requests under
way finish or are dropped; the background is left; the exit code is 0.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any, cast

import uvicorn

from dashboard.http_protocol import HttpConnection
from dashboard.listener import BACKLOG
from dashboard.socket import LiveSocket

logger = logging.getLogger("dashboard.server")

Hook = Callable[[], Awaitable[None]]
Background = Callable[[], AbstractAsyncContextManager[Any]]
Application = Callable[..., Awaitable[None]]

PING_INTERVAL_S = 20.0
PONG_TIMEOUT_S = 20.0
# Shares of the five seconds that a stop may take.
HOOKS_TIMEOUT_S = 0.5
CONNECTIONS_TIMEOUT_S = 2.0
TASKS_TIMEOUT_S = 0.4
BACKGROUND_TIMEOUT_S = 1.2  # at least
BACKGROUND_DEADLINE_S = 4.5
STOP_TIMEOUT_S = 4.8
LOOK_AGAIN_S = 0.02


class State:
    """What the rest of the site may know of its server."""

    def __init__(self) -> None:
        self.ready = False
        self.draining = False
        self._hooks: list[Hook] = []

    def on_drain(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` when a stop begins, before sockets are closed; returns how to forget it."""
        self._hooks.append(hook)
        return lambda: self._hooks.remove(hook) if hook in self._hooks else None

    async def drain(self) -> None:
        """Be not ready from now on, and run the hooks; what they raise is logged."""
        self.ready = False
        self.draining = True
        calls = [asyncio.ensure_future(hook()) for hook in self._hooks]
        if not calls:
            return
        done, late = await asyncio.wait(calls, timeout=HOOKS_TIMEOUT_S)
        for call in late:
            call.cancel()
            logger.warning("a goodbye hook took longer than %g s", HOOKS_TIMEOUT_S)
        for call in done:
            if not call.cancelled() and call.exception() is not None:
                logger.error("a goodbye hook failed", exc_info=call.exception())


state = State()


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
    ) -> None:
        super().__init__(config)
        self.background = background
        self.on_ready = on_ready
        self.handle_signals = handle_signals
        self.when_stopping: Callable[[], None] | None = None
        self.serving = asyncio.Event()
        self._stop = asyncio.Event()
        self._stop_began_s = 0.0

    def stop(self) -> None:
        """Begin to stop; a second call drops every connection at once."""
        if self.should_exit:
            self.force_exit = True
        elif self.when_stopping is not None:
            self.when_stopping()
        if not self.should_exit:
            self._stop_began_s = time.monotonic()
        self.should_exit = True
        self._stop.set()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        state.draining = False
        with self.capture_signals():
            async with leaving_within(self._seconds_left, self.background()):
                if not self.should_exit:
                    await self._serve(sockets)
        state.ready = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        state.ready = True
        self.serving.set()
        if self.on_ready is not None:
            self.on_ready()

    async def main_loop(self) -> None:
        while not self.should_exit:
            await self.on_tick(0)  # sets the Date header, good for a second
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        await state.drain()
        connections = self.server_state.connections
        for connection in list(connections):
            connection.shutdown()
        await self._wait(CONNECTIONS_TIMEOUT_S, connections)
        for connection in list(connections):
            cast(LiveSocket | HttpConnection, connection).abort()
        await self._wait(TASKS_TIMEOUT_S, connections, self.server_state.tasks)
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
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)  # we are leaving already


@asynccontextmanager
async def leaving_within(
    seconds_left: Callable[[], float], inner: AbstractAsyncContextManager[Any]
) -> AsyncIterator[None]:
    """`inner`, but leaving it may not take longer than the seconds that are left then."""
    await inner.__aenter__()
    try:
        yield
    finally:
        timeout_s = seconds_left()
        try:
            async with asyncio.timeout(timeout_s):
                await inner.__aexit__(*sys.exc_info())
        except TimeoutError:
            logger.error("the background did not stop within %.1f s", timeout_s)


def leave_in_time() -> None:
    """End the process when a thread that hangs would keep it longer than a stop may take."""
    timer = threading.Timer(STOP_TIMEOUT_S, leave_now)
    timer.daemon = True
    timer.start()


def leave_now() -> None:
    """Everything that was acknowledged is on disk already; only courtesy is lost."""
    logger.error("something did not stop within %g s: leaving without it", STOP_TIMEOUT_S)
    logging.shutdown()
    os._exit(0)


def make_config(
    app: Application,
    socket_class: type[LiveSocket] = LiveSocket,
    http_class: type[HttpConnection] = HttpConnection,
    trusted_proxies: Sequence[str] = (),
    ping_interval_s: float = PING_INTERVAL_S,
    pong_timeout_s: float = PONG_TIMEOUT_S,
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
) -> None:
    """Serve `app` on `listener` until SIGTERM or SIGINT, then stop within five seconds.

    `on_ready` is called once, when requests are answered. `background` is entered before that and
    left at the end. What `background` raises on entering is raised here.
    """

    async def main() -> None:
        server = Server(
            make_config(app, trusted_proxies=tuple(trusted_proxies)), background, on_ready
        )
        server.when_stopping = leave_in_time
        await server.serve([listener])

    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(main())
