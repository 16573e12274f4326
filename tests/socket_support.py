"""A real server in this event loop, and clients that behave as badly as a test asks them to."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from dashboard import server
from dashboard.http_protocol import HttpConnection
from dashboard.listener import listen
from dashboard.socket import LiveSocket
from tests.support.waiting import DEADLINE_S, aeventually

TEXT, BINARY, CLOSE, PING, PONG, CONT = 1, 2, 8, 9, 10, 0

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass
class App:
    """An ASGI application that accepts sockets, notes what it hears, and echoes it.

    `after_accept` replaces the echo: it gets (receive, send) of an accepted socket.
    """

    after_accept: Callable[[Receive, Send], Awaitable[None]] | None = None
    heard: list[Message] = field(default_factory=list)
    goodbyes: list[Message] = field(default_factory=list)
    ended: int = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await answer(send, 200, b"hello")
            return
        try:
            assert (await receive())["type"] == "websocket.connect"
            await send({"type": "websocket.accept"})
            await (self.after_accept or self.echo)(receive, send)
        finally:
            self.ended += 1

    async def echo(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.goodbyes.append(message)
                return
            self.heard.append(message)
            said = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
            await send({"type": "websocket.send", **said})

    async def goodbye(self) -> tuple[int, str]:
        """Code and reason of the first goodbye, once there is one."""
        message = (await aeventually(lambda: self.goodbyes, what="the app hears of the end"))[0]
        return message["code"], message.get("reason", "")


async def answer(send: Send, status: int, body: bytes) -> None:
    """Send one whole HTTP answer."""
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Running:
    """A server that answers on `port` of 127.0.0.1."""

    server: server.Server
    task: asyncio.Task[None]
    port: int

    @property
    def connections(self) -> list[Any]:
        return list(self.server.server_state.connections)

    async def stop(self) -> None:
        """Stop the server, which it does sooner or later."""
        self.server.stop()
        await asyncio.wait_for(asyncio.shield(self.task), DEADLINE_S)

    async def connect(self, path: str = "/live/", receive_bytes: int = 0) -> Peer:
        """A peer with an open WebSocket; `receive_bytes` makes its kernel buffer small."""
        peer = await self.dial(receive_bytes)
        await peer.send(handshake(path))
        assert (await peer.head()).startswith(b"HTTP/1.1 101 ")
        return peer

    async def dial(self, receive_bytes: int = 0) -> Peer:
        """A peer with a TCP connection and nothing said yet."""
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        return Peer(sock)


@asynccontextmanager
async def serving(
    app: Callable[..., Awaitable[None]],
    socket_class: type[LiveSocket] = LiveSocket,
    http_class: type[HttpConnection] = HttpConnection,
    background: server.Background = server.no_background,
    **config: Any,
) -> AsyncIterator[Running]:
    """Serve `app` in this event loop for the length of the block."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    running = server.Server(
        server.make_config(app, socket_class, http_class, **config),
        background,
        handle_signals=False,
    )
    task = asyncio.create_task(running.serve([listener]))
    began = asyncio.create_task(running.serving.wait())
    await asyncio.wait({task, began}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield Running(running, task, port)
    finally:
        running.stop()
        running.stop()  # twice: whoever is left is dropped
        await asyncio.wait_for(task, DEADLINE_S)


def handshake(path: str = "/live/", *, version: str = "13", extra: str = "") -> bytes:
    """The request that opens a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: {version}\r\n{extra}\r\n"
    ).encode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool = True) -> bytes:
    """One WebSocket frame as a client sends it (masked with zeros)."""
    first = (0x80 if fin else 0) | opcode
    masked = 0x80 if mask else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, masked | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    return head + (b"\0\0\0\0" if mask else b"") + payload


class Peer:
    """The other end of a connection. It reads only when it is asked to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._buffer = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.sock.close()

    async def send(self, data: bytes) -> None:
        await asyncio.wait_for(self._loop.sock_sendall(self.sock, data), DEADLINE_S)

    async def send_until_cut(self, data: bytes) -> None:
        """Send `data` over and over until the server hangs up."""
        try:
            while True:
                await self.send(data)
        except (ConnectionError, OSError):
            return

    async def head(self) -> bytes:
        """An HTTP answer's status line and headers."""
        while b"\r\n\r\n" not in self._buffer:
            await self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        return head

    async def everything(self) -> bytes:
        """What comes until the server hangs up in an orderly way; a reset is an error."""
        try:
            while True:
                await self._more()
        except EOFError:
            return self._buffer

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload."""
        first, size = await self._exactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", await self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self._exactly(8))
        assert size < 1 << 40
        return first & 0x0F, await self._exactly(size)

    async def goodbye(self) -> tuple[int, str]:
        """Code and reason of the close frame, skipping what comes before it."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                assert len(payload) >= 2, "a close frame without a code"
                return struct.unpack("!H", payload[:2])[0], payload[2:].decode()

    async def hung_up(self) -> None:
        """Returns when the server has ended the connection, in whatever way."""
        with suppress(ConnectionError):
            await self.everything()

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    async def _more(self) -> None:
        data = await asyncio.wait_for(self._loop.sock_recv(self.sock, 65536), DEADLINE_S)
        if not data:
            raise EOFError("the server hung up")
        self._buffer += data
