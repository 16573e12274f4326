"""A server as a process of its own, for what only a process can show: signals, exit, memory.

Run as `python -m tests.socket_program [how the background behaves]`. Prints `ready <port>` when
it answers, and a line for each thing that happens in the background.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dashboard import server
from dashboard.body_limit import BodyLimit
from dashboard.listener import listen
from tests.socket_support import App, Message, Receive, Send, answer

BODY_BYTES = 1024 * 1024


class Program(App):
    """Echoes; on /pour/ it sends without end, on /stuck/ it never receives."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.after_accept = {"/pour/": self.pour, "/stuck/": self.stuck}.get(scope["path"])
        if scope["type"] == "http":
            await read_all(receive)
            if scope["path"] == "/stuck/":
                await asyncio.Event().wait()
            await answer(send, 200, b"hello")
        else:
            await super().__call__(scope, receive, send)

    async def pour(self, receive: Receive, send: Send) -> None:
        while True:
            await send({"type": "websocket.send", "bytes": b"x" * 16 * 1024})

    async def stuck(self, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()


async def read_all(receive: Receive) -> None:
    message = await receive()
    while message["type"] == "http.request" and message["more_body"]:
        message = await receive()


def say(text: str) -> None:
    print(text, flush=True)


@asynccontextmanager
async def background(how: str) -> AsyncIterator[None]:
    say("background entered")
    if how == "fails":
        raise RuntimeError("the background cannot start")
    if how == "hanging-thread":
        threading.Thread(target=threading.Event().wait).start()
    async with asyncio.TaskGroup() as jobs:
        job = jobs.create_task(asyncio.Event().wait())
        try:
            yield
        finally:
            if how == "slow":
                await asyncio.Event().wait()
            job.cancel()
    say("background left")


def main(how: str) -> None:
    listener = listen("127.0.0.1", 0)
    server.run(
        BodyLimit(Program(), BODY_BYTES),  # type: ignore[arg-type]
        listener,
        background=lambda: background(how),
        on_ready=lambda: say(f"ready {listener.getsockname()[1]}"),
    )
    say("run returned")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
