"""How a socket reads, writes and ends; what is said on it is in `socket.py`."""

from __future__ import annotations

import asyncio
from asyncio.transports import BaseTransport
from collections.abc import Callable
from typing import Any

from uvicorn._types import ASGIReceiveEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from dashboard.drain import (
    DrainWatch,
    keep_kernel_backlog_small,
    keep_kernel_inbox_small,
    reset,
)
from dashboard.inbox import Gate, Inbox

ABNORMAL = 1006


class SteadySocket(WebSocketsSansIOProtocol):
    """uvicorn's sans-IO protocol with bounded buffers, and ends that do not wait for the peer."""

    # What each write needs: here it is found without a look into a large dictionary.
    __slots__ = ("close_sent", "is_blocked", "transport")

    write_high_water_bytes = 64 * 1024
    inbox_bytes = 32 * 1024
    drain_timeout_s = 5.0
    close_timeout_s = 1.0
    slow_grace_s = 2.0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # In place of asyncio's, which take 3 KB of every idle socket.
        self.queue: Any = Inbox()
        self.writable: Any = Gate(is_open=True)
        self.is_blocked = False  # the peer does not read
        self.last_word: ASGIReceiveEvent | None = None
        self.write_ended = False
        self._drain: DrainWatch | None = None
        self.on_writable: Callable[[], None] | None = None
        self.before_close: Callable[[], None] | None = None

    # What is said here in finished frames, past the parser (dashboard.sinks).

    @property
    def takes_frames(self) -> bool:
        """Whether frames need nothing of this connection's own: no compression was agreed on."""
        return not self.conn.extensions

    def may_write(self) -> bool:
        return not (self.is_blocked or self.close_sent or self.transport.is_closing())

    def write(self, frames: bytes) -> None:
        """Finished server frames; only when may_write()."""
        self.transport.write(frames)

    # The transport calls these.

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=self.write_high_water_bytes)
        keep_kernel_backlog_small(self.transport, self.write_high_water_bytes)
        keep_kernel_inbox_small(self.transport, self.inbox_bytes)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_keepalive()
        self._stop_timers()
        self.tell_app(ABNORMAL, "the connection was lost")
        self.connections.discard(self)
        self.handshake_complete = True
        self.close_sent = True
        self.disconnected = True
        self.on_writable = self.before_close = None
        self.writable.set()  # wakes a send() that waits for a drain that never comes
        if exc is None:
            self.transport.close()
        self._free()

    def eof_received(self) -> None:
        """The peer sends no more; asyncio closes the transport once it is drained."""
        self.arm_cut()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.is_blocked = True
        if self._drain is not None:
            self._drain.start()
        self.steer_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_blocked = False
        if self._drain is not None:
            self._drain.stop()
        self.steer_reading()
        if self.on_writable is not None:
            self.on_writable()

    # The server calls this.

    def abort(self) -> None:
        """Drop the connection now."""
        self.tell_app(ABNORMAL, "the connection was dropped")
        reset(self.transport)

    # The conversation uses these.

    def tell_app(self, code: int, reason: str) -> None:
        """The app hears of the end once, whatever else happens on the way there."""
        if self.last_word is None:
            self.last_word = {"type": "websocket.disconnect", "code": code, "reason": reason}
            self.queue.put_nowait(self.last_word)

    def flush(self) -> None:
        output = b"".join(self.conn.data_to_send())
        if output and not self.write_ended and not self.transport.is_closing():
            self.transport.write(output)

    def end_writing(self) -> None:
        """Half-close: a full close would discard the close frame while the peer still sends."""
        self.write_ended = True
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def steer_reading(self) -> None:
        """Read only when the app has taken what came and the peer takes what we write."""
        if self.transport.is_closing():
            return
        behind = not self.queue.empty() or not self.writable.is_set()
        pause = behind and not self.close_sent
        if pause and not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()
        elif self.read_paused and not pause:
            self.read_paused = False
            self.transport.resume_reading()

    def arm_cut(self, timeout_s: float | None = None) -> None:
        if self.close_timer is None and not self.disconnected:
            timeout_s = self.close_timeout_s if timeout_s is None else timeout_s
            self.close_timer = self.loop.call_later(timeout_s, self.abort)

    def _free(self) -> None:
        """Forgets what would keep this object, and what it has read, until the collector comes."""
        self._drain = None
        self.conn.parser.close()
        if self.handshake_initiated and hasattr(self, "scope"):
            self.scope["extensions"].pop("pulseboard.socket", None)

    def _stop_timers(self) -> None:
        if self._drain is not None:
            self._drain.stop()
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = None
