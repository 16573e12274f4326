"""Stands between the product and a Redis server: loses, repeats and reorders what is pushed.

It also speaks TLS, which the server of the tests does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Deliver = Callable[[bytes], list[bytes]]


def untouched(message: bytes) -> list[bytes]:
    return [message]


async def read_reply(reader: asyncio.StreamReader) -> bytes:
    """One whole reply of the Redis protocol (RESP2), as it is on the wire."""
    line = await reader.readuntil(b"\r\n")
    kind, size = line[:1], line[1:-2]
    if kind == b"$" and int(size) >= 0:
        return line + await reader.readexactly(int(size) + 2)
    if kind == b"*":
        for _ in range(int(size)):
            line += await read_reply(reader)
    return line


class RedisProxy:
    """`deliver` says for each pushed message what is passed on in its place, any time."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self.port = 0
        self.deliver: Deliver = untouched
        self.pushed = 0  # messages that the server sent to its subscribers
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes on what one client and the server say until either has ended."""
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.close()
            return
        both = [
            asyncio.create_task(self._questions(reader, up_writer)),
            asyncio.create_task(self._answers(up_reader, writer)),
        ]
        self._tasks.update(both)
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
            self._tasks.discard(task)
        for end in (writer, up_writer):
            with contextlib.suppress(OSError):
                end.close()

    async def _questions(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                out.write(data)
                await out.drain()

    async def _answers(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                reply = await read_reply(reader)
                parts = [reply]
                if reply.startswith(b"*3\r\n$7\r\nmessage\r\n"):
                    self.pushed += 1
                    parts = self.deliver(reply)
                out.write(b"".join(parts))
                await out.drain()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        while self._tasks:  # each serve() lets its own go
            await asyncio.sleep(0)


@asynccontextmanager
async def redis_proxy(
    port: int, context: ssl.SSLContext | None = None
) -> AsyncIterator[RedisProxy]:
    """A proxy to the server at `port`; with a context, over TLS."""
    proxy = RedisProxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=context)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()
