"""Broadcasting with python-socketio under uvicorn: POST / with {"frames": [...]} emits each to all.

    python socketio_server.py

Runs with the Python of an environment of its own (benchmarks/rivals.py), so nothing of this
project is imported, and what it needs is imported by name: this project does not have it.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import socket
from typing import Any


async def main() -> None:
    socketio, uvicorn = (importlib.import_module(name) for name in ("socketio", "uvicorn"))
    # No compression, as everybody here; and a ping so seldom that none falls into a window.
    server = socketio.AsyncServer(
        async_mode="asgi", ping_interval=600, http_compression=False, cors_allowed_origins="*"
    )

    async def publish(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
        for frame in json.loads(body)["frames"]:
            await server.emit("update", frame)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    application = socketio.ASGIApp(server, publish)
    config = uvicorn.Config(
        application, lifespan="off", log_level="warning", ws_per_message_deflate=False
    )
    await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    asyncio.run(main())
