"""Our WebSocket protocol class: uvicorn's sans-IO one, made hard against the peer and the app.

What it adds, and why, in one line each:

- a peer that does not read is told to go (4408), and the app too, after 5 s without drain; it is
  cut when it has not read that 2 s later;
- while we cannot write we do not read either, so that a peer cannot make us pile up answers;
- limits on size, fragments and rate of what comes in (`frame_guard.py`);
- a peer that does not answer a close frame is cut after 1 s, so a shutdown never waits for it;
- every close has a code and a reason, also when the app raises or just returns;
- after an error of the peer the connection is half-closed first, so the close frame arrives.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio.transports import BaseTransport
from http import HTTPStatus
from typing import Any

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState
from websockets.exceptions import InvalidState, ProtocolError
from websockets.frames import Frame
from websockets.http11 import Request

from dashboard.drain import DrainWatch
from dashboard.frame_guard import FrameLimits, GuardedConnection
from dashboard.socket_flow import ABNORMAL, SteadySocket

NOT_VALID_TEXT = 1007
OUR_BUG = 1011
RESTARTING = 1012
SLOW_CONSUMER = 4408
NO_PONG = 4410

REASON_BYTES = 123  # what a close frame has room for
DEFAULT_REASONS = {1000: "done", 1001: "going away", OUR_BUG: "an error in the server"}

# uvicorn's own lines at INFO carry the query string, which may hold somebody's secret.
logger = logging.getLogger("dashboard.socket")
logger.setLevel(logging.WARNING)


class LiveSocket(SteadySocket):
    """One WebSocket connection. The limits are class attributes, so that a subclass can differ."""

    limits = FrameLimits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = logger
        plain = self.conn
        plain.parser.close()  # with it open nobody but the garbage collector would free it
        self.conn: GuardedConnection = GuardedConnection(
            self.limits, self.loop.time, plain.available_extensions
        )

    # The transport calls these.

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self._drain = DrainWatch(
            self.loop, self.transport, self.drain_timeout_s, self._dismiss_slow_consumer
        )

    def data_received(self, data: bytes) -> None:
        self.conn.receive_data(data)
        if self.conn.parser_exc is not None:
            self.handle_parser_exception()
            return
        self.handle_events()
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._reject_written()  # a request that could not even be parsed has its answer

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.conn.forget()

    # The server calls this.

    def shutdown(self) -> None:
        """Say 1012 and let the peer one second to answer."""
        if self.handshake_complete:
            self.close(RESTARTING, "the server is restarting: come back in a moment")
            return
        self.tell_app(RESTARTING, "the server is restarting")
        response = self.conn.reject(HTTPStatus.SERVICE_UNAVAILABLE, "The server is restarting.\n")
        response.headers["Retry-After"] = "1"
        self.conn.send_response(response)
        self._reject_written()

    # What comes in.

    def handle_connect(self, event: Request) -> None:
        if event.headers.get_all("Sec-WebSocket-Version") != ["13"]:
            self.handshake_initiated = True
            response = self.conn.reject(
                HTTPStatus.UPGRADE_REQUIRED,
                "This server speaks WebSocket version 13 (RFC 6455): send the header "
                "Sec-WebSocket-Version: 13.\n",
            )
            response.headers["Sec-WebSocket-Version"] = "13"
            response.headers["Upgrade"] = "websocket"
            self.conn.send_response(response)
            self._reject_written()
            return
        super().handle_connect(event)
        if self.close_sent:
            self.arm_cut()
        else:
            self.scope["extensions"]["pulseboard.socket"] = self  # type: ignore[assignment]

    def send_receive_event_to_app(self) -> None:
        data = b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "text":
            try:
                text = data.decode()
            except UnicodeDecodeError as error:
                self.conn.refuse(
                    NOT_VALID_TEXT, f"a text message must be UTF-8; byte {error.start} is not"
                )
                self.handle_parser_exception()
                return
            self.queue.put_nowait({"type": "websocket.receive", "text": text})
        else:
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
        self.steer_reading()

    def handle_ping(self) -> None:
        self.flush()  # the parser has made the pong

    def handle_close(self, event: Frame) -> None:
        if not self.close_sent:
            heard = self.conn.close_rcvd
            assert heard is not None
            self.tell_app(heard.code, heard.reason)
            self.close_sent = True
            self.stop_keepalive()
            self.flush()  # the parser has made the echo
        self.arm_cut()
        self.transport.close()

    def handle_parser_exception(self) -> None:
        """The peer broke the protocol or a limit; the parser has made the close frame."""
        if self.write_ended:
            return
        said = self.conn.close_sent
        if said is not None:
            self.tell_app(said.code, said.reason)
        self.conn.forget()
        self.close_sent = True
        self.stop_keepalive()
        self.flush()
        self.end_writing()
        self.steer_reading()
        self.arm_cut()

    def keepalive_timeout(self) -> None:
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        if self.read_paused:
            # The pong may wait behind messages that the app did not take yet: not the peer's fault.
            self.schedule_ping()
            return
        self.close(NO_PONG, f"no pong within {self.ping_timeout:g} s")

    # What the app says.

    async def run_asgi(self) -> None:
        code, reason = OUR_BUG, "the server ended this conversation without saying why"
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:
            code, reason = RESTARTING, "the server is restarting: come back in a moment"
        except Exception:
            reason = "an error in the server: it is in the server's log"
            logger.exception("the application failed on a WebSocket")
        if self.handshake_complete:
            self.close(code, reason)
        elif self.initial_response is None:
            logger.error("the application ended before it answered the handshake")
            self.conn.send_response(
                self.conn.reject(HTTPStatus.INTERNAL_SERVER_ERROR, "An error in the server.\n")
            )
            self._reject_written()

    async def receive(self) -> ASGIReceiveEvent:
        if self.last_word is not None and self.queue.empty():
            return self.last_word
        message: ASGIReceiveEvent = await self.queue.get()
        self.steer_reading()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        if not self.writable.is_set():
            await self.writable.wait()
        if self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        if not self.handshake_complete or self.initial_response is not None:
            await super().send(message)
            if self.handshake_complete:
                # Some 5 KB of headers, which nobody asks for again; the parser holds them too.
                self.request.headers.clear()
                del self.request, self.response
            if self.close_sent:
                self.tell_app(ABNORMAL, "refused")
                self.arm_cut()
        elif message["type"] == "websocket.send":
            self._send_message(message.get("text"), message.get("bytes"))
        elif message["type"] == "websocket.close":
            self.close(message.get("code", 1000) or 1000, message.get("reason") or "")
        else:
            raise RuntimeError(
                f"expected websocket.send or websocket.close, but the app sent {message['type']!r}"
            )

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake. Does nothing when it has begun already."""
        if self.before_close is not None:
            self.before_close()
        if self.close_sent:
            return
        reason = reason or DEFAULT_REASONS.get(code, "closed by the server")
        reason = reason.encode(errors="replace")[:REASON_BYTES].decode(errors="ignore")
        try:
            self.conn.send_close(code, reason)
        except ProtocolError:
            logger.error("the application closed a WebSocket with %r, which is no code", code)
            code, reason = OUR_BUG, DEFAULT_REASONS[OUR_BUG]
            self.conn.send_close(code, reason)
        except InvalidState:
            pass  # the peer was first
        self.close_sent = True
        self.conn.expect_goodbye()
        self.stop_keepalive()
        self.tell_app(code, reason)
        self.flush()
        self.steer_reading()  # the peer's answer must be heard
        self.arm_cut()

    def _send_message(self, text: str | None, data: bytes | None) -> None:
        try:
            if data is not None:
                self.conn.send_binary(data)
            elif text is not None:
                self.conn.send_text(text.encode())
        except UnicodeEncodeError:
            logger.exception("the application sent text with a lone surrogate")
            self.close(OUR_BUG, "the server had text to send that is not valid Unicode")
            raise ClientDisconnected from None
        except InvalidState:
            raise ClientDisconnected from None
        self.flush()

    # The rest is bookkeeping.

    def _dismiss_slow_consumer(self) -> None:
        """The close frame stands behind what the peer has not read: it sees it if it reads on."""
        self.arm_cut(self.slow_grace_s)
        self.close(SLOW_CONSUMER, f"nothing was read for {self.drain_timeout_s:g} s")
        self.writable.set()  # wakes a send() that waits: it need not wait for the cut

    def _reject_written(self) -> None:
        """The parser has made an HTTP answer that is not 101: write it and hang up."""
        self.close_sent = True
        self.handshake_complete = True
        self.flush()
        self.arm_cut()
        self.transport.close()
