"""The Channels consumer behind /live/: authenticates, decodes and watches; no fan-out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from channels.db import aclose_old_connections
from channels.generic.websocket import AsyncWebsocketConsumer

from dashboard import annotating, protocol
from dashboard import hub as hubs
from dashboard.acks import ACK_MS, TooSlow, Window
from dashboard.connection import Connection
from dashboard.frames import Form, Message
from dashboard.protocol import Close, WatchRefused
from dashboard.sinks import AsgiSink, DirectSink
from dashboard.viewer import NotAllowed, Viewer, by_session, by_token
from dashboard.watching import Asked, watch_for, welcome

logger = logging.getLogger(__name__)

BAD_MESSAGES = 10  # explained by an error frame each; then the socket is closed
SIGN_IN = "sign in, or send hello with a token first"
REASON_BYTES = 123  # RFC 6455: a close frame's payload is at most 125 bytes, 2 of them the code


class LiveConsumer(AsyncWebsocketConsumer):
    """One socket. Its frames go out through dashboard.connection, not through handlers here."""

    channel_layer_alias = "none"  # the hub is the process's one member of the channel group

    hub: hubs.Hub
    connection: Connection

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.base_send = scope, send
        # Only our own server offers this; it says when it cannot take more.
        self._socket: Any = (scope.get("extensions") or {}).get("pulseboard.socket")
        self._sink: AsgiSink | DirectSink
        self._writer: asyncio.Task[None] | None = None
        self._hello_timer: asyncio.TimerHandle | None = None
        self._hello_missed: asyncio.Task[None] | None = None
        self._expected_from: str | None = None  # the address of one that has not said hello yet
        self._viewer: Viewer | None = None
        self._bad_messages = 0
        self._closing = False
        self._accepted = False
        try:
            await self._converse(receive)
        except OSError as gone:  # the peer left before it was answered
            logger.debug("a live socket ended while it was written: %s", gone)
        except Exception:
            logger.exception("a live socket failed")
            with contextlib.suppress(Exception):
                await self._end(Close.INTERNAL, "a mistake of ours; it is in the server's log")
        finally:
            # Not in disconnect(): Channels does not call that when receiving or sending raises.
            self._leave()

    async def _converse(self, receive: Any) -> None:
        """As Channels does it, but without two tasks a socket and a thread's turn a message."""
        while True:
            message = await receive()
            if message["type"] == "websocket.receive":
                await self.receive(message.get("text"), message.get("bytes"))
            elif message["type"] == "websocket.connect":
                await self.connect()
            else:
                return

    # -- coming and going ------------------------------------------------------------------------

    async def connect(self) -> None:
        offered = self.scope.get("subprotocols", [])
        chosen = next((name for name in protocol.SUBPROTOCOLS if name in offered), None)
        # A foreign one is agreed to only to refuse it: otherwise a browser hides the reason.
        await self.accept(chosen or next(iter(offered), None))
        self._accepted = True
        if chosen is None:
            known = ", ".join(protocol.SUBPROTOCOLS)
            await self._end(Close.FORBIDDEN, f"unknown subprotocol: expected {known}")
            return
        self.hub = await hubs.get()
        self._open_sink(chosen)
        self.connection = Connection(self._sink)
        viewer = await by_session(self.scope)
        if viewer is not None:
            await self._welcome(viewer)
        else:
            await self._expect_hello()

    def _open_sink(self, subprotocol: str) -> None:
        socket = self._socket
        if socket is not None and socket.takes_frames:
            self._sink = DirectSink(socket, Form.of(subprotocol, framed=True))
            return
        form = Form.of(subprotocol, framed=False)
        self._sink = AsgiSink(self._send_message, form, None if socket is not None else Window())

    async def _send_message(self, message: Message) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        await self.base_send({"type": "websocket.send", kind: message})

    async def _expect_hello(self) -> None:
        address = (self.scope.get("client") or [""])[0]
        if not self.hub.members.expect(address):
            await self._end(
                Close.RATE_LIMITED,
                "too many sockets of this address have not said hello: come back in 10 s",
            )
            return
        self._expected_from = address
        loop = asyncio.get_running_loop()
        self._hello_timer = loop.call_later(protocol.HELLO_TIMEOUT_S, self._miss_hello)

    def _miss_hello(self) -> None:
        self._hello_missed = asyncio.create_task(self._end(Close.UNAUTHENTICATED, SIGN_IN))

    def _stop_expecting(self) -> None:
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None
        if self._expected_from is not None:
            self.hub.members.expect_no_more(self._expected_from)
            self._expected_from = None

    async def _welcome(self, viewer: Viewer) -> None:
        reason = self.hub.members.refusal(viewer)
        if reason:
            await self._end(Close.RATE_LIMITED, reason)
        if self._closing:
            return
        self._viewer = viewer
        # Nobody asks for them again, and every layer's scope would hold them to the end.
        self.scope["headers"].clear()
        self._stop_expecting()
        self.hub.members.join(self.connection, viewer, self._end)
        await self._say(welcome(0 if self._socket is not None else ACK_MS))
        if isinstance(self._sink, AsgiSink):
            self._writer = asyncio.create_task(self._write(self._sink))

    async def _write(self, sink: AsgiSink) -> None:
        try:
            await sink.write()
        except TooSlow as slow:
            await self._end(Close.SLOW, str(slow))
        except Exception as error:
            # The socket is gone or cannot take a frame; the server says which to receive().
            logger.debug("a live socket cannot be written: %s", error)
            with contextlib.suppress(Exception):
                await self._end(Close.INTERNAL, "a frame could not be sent")

    def _leave(self) -> None:
        self._closing = True
        self._stop_expecting()
        if self._writer is not None:
            self._writer.cancel()
        if self._viewer is not None:
            self._viewer = None
            self.hub.members.leave(self.connection)
            self.connection.close()

    async def _end(self, code: Close, reason: str) -> None:
        if self._closing or not self._accepted:
            return
        self._closing = True
        writer = self._writer
        if writer is not None and writer is not asyncio.current_task():
            writer.cancel()
            await asyncio.wait([writer])
        short = reason.encode()[:REASON_BYTES].decode(errors="ignore")
        await self.close(int(code), short)

    # -- messages --------------------------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._closing:
            return
        if text_data is None:
            await self._end(Close.UNSUPPORTED, "binary frames are not taken: send JSON text")
            return
        try:
            message = protocol.decode(text_data)
        except ValueError as error:
            await self._bad(str(error))
            return
        if isinstance(message, protocol.Hello):
            await self._hello(message)
        elif self._viewer is None:
            await self._end(Close.UNAUTHENTICATED, SIGN_IN)
        elif isinstance(message, protocol.Unwatch):
            self.connection.remove(message.id)
        elif isinstance(message, protocol.Ack):
            self._sink.acknowledge(message.frames)
        elif isinstance(message, protocol.Annotate):
            annotating.begin(self._viewer, message, self._answer)
        else:
            await self._watch(message, self._viewer)

    async def _hello(self, message: protocol.Hello) -> None:
        if self._viewer is not None:
            await self._refuse("bad_message", "hello comes once, and only without a session")
            return
        await aclose_old_connections()
        try:
            viewer = await by_token(message.token)
        except NotAllowed as refused:
            await self._end(refused.code, str(refused))
            return
        await self._welcome(viewer)

    async def _bad(self, sentence: str) -> None:
        self._bad_messages += 1
        if self._viewer is None or self._bad_messages >= BAD_MESSAGES:
            await self._end(Close.BAD_MESSAGE, sentence)
        else:
            await self._refuse("bad_message", sentence)

    async def _watch(self, message: Asked, viewer: Viewer) -> None:
        watches = self.connection.watches
        if message.id in watches:
            await self._refuse("bad_message", f"watch {message.id} exists: unwatch it first")
            return
        try:
            watch = await watch_for(self.hub, viewer, message, len(watches), "a socket")
        except WatchRefused as refused:
            await self._refuse(refused.code, str(refused), message.id)
        else:
            self.connection.add(watch)

    async def _answer(self, frame: protocol.ServerMessage) -> None:
        """Says what took its time, if there is still somebody to hear it."""
        if not self._closing:
            await self._say(frame)

    async def _refuse(self, code: protocol.ErrorCode, sentence: str, id: int | None = None) -> None:
        await self._say(protocol.Error(code, sentence, id))

    async def _say(self, frame: protocol.ServerMessage) -> None:
        if not self.connection.say(protocol.encode(frame)):
            await self._end(Close.POLICY, "too many answers wait to be read: read them")


class NowhereConsumer(AsyncWebsocketConsumer):
    """Any other socket path: accepted only to say so, since a refusal would read as 1006."""

    channel_layer_alias = "none"

    async def connect(self) -> None:
        # Any subprotocol is agreed to: otherwise a browser hides the reason.
        await self.accept(next(iter(self.scope.get("subprotocols", [])), None))
        await self.close(int(Close.NOT_FOUND), "there is no socket here: it is at /live/")
