"""The usual way with Channels: a consumer per browser in a group, JSON per consumer.

As its tutorial shows it: in-memory layer, `group_add` on connect, `group_send` to publish, a
handler that sends the frame as JSON. It runs on the same server, with the same settings, as
Pulseboard. It keeps nothing: what is published is not stored, and evaluated by nobody.

    python -m benchmarks.stock_channels [panels]

POST / with {"frames": [...]} sends each frame to the group of its panel (its `id`).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.conf import settings


def application(panels: int) -> Any:
    """The ASGI application. Every browser is in the group of each of `panels` panels."""
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from channels.layers import get_channel_layer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.urls import path

    class Panels(AsyncJsonWebsocketConsumer):
        async def connect(self) -> None:
            for panel in range(1, panels + 1):
                await self.channel_layer.group_add(f"panel.{panel}", self.channel_name)
            await self.accept(subprotocol="pulseboard.v1.json")
            await self.send_json({"type": "welcome"})

        async def disconnect(self, code: int) -> None:
            for panel in range(1, panels + 1):
                await self.channel_layer.group_discard(f"panel.{panel}", self.channel_name)

        async def panel_update(self, message: dict[str, Any]) -> None:
            await self.send_json(message["frame"])

    async def publish(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
        layer: Any = get_channel_layer()
        for frame in json.loads(body)["frames"]:
            message = {"type": "panel.update", "frame": frame}
            await layer.group_send(f"panel.{frame['id']}", message)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    sockets: Any = URLRouter([path("live/", Panels.as_asgi())])
    return ProtocolTypeRouter({"http": publish, "websocket": sockets})


def main(panels: int) -> None:
    settings.configure(
        SECRET_KEY="only for a benchmark",  # noqa: S106 - signs nothing
        CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    )
    import django

    django.setup()
    from dashboard import listener as listeners
    from dashboard import server

    listener = listeners.listen("127.0.0.1", 0)
    with listener:
        url = listeners.url_of(listener)
        server.run(application(panels), listener, on_ready=lambda: print(f"{url}/", flush=True))


if __name__ == "__main__":
    main(int(sys.argv[1]))
