"""What a browser page did: its requests, its sockets, and what it complained about."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from playwright.sync_api import ConsoleMessage, Error, Page, Request, WebSocket

from tests.support.waiting import DEADLINE_S

PAUSE_MS = 20


@dataclass
class Socket:
    """One WebSocket of the page and the frames it received, as text or bytes."""

    url: str
    received: list[str | bytes] = field(default_factory=list)
    closed: bool = False


class Traffic:
    """Listens to a page from before its first request.

    A console error (a violation of the content security policy is one) or an uncaught
    exception fails the test at its end, unless `allow` names it.
    """

    def __init__(self, page: Page) -> None:
        self.requests: list[str] = []
        self.sockets: list[Socket] = []
        self.problems: list[str] = []
        self._allowed: list[re.Pattern[str]] = []
        self._quiet_from = 0
        self.page = page
        page.on("request", self._on_request)
        page.on("console", self._on_console)
        page.on("pageerror", self._on_page_error)
        page.on("websocket", self._on_websocket)

    @property
    def frames(self) -> int:
        """How many frames all sockets received."""
        return sum(len(socket.received) for socket in self.sockets)

    def allow(self, pattern: str) -> None:
        """Accepts console errors that match, such as those of a server being restarted."""
        self._allowed.append(re.compile(pattern))

    def loaded(self) -> None:
        """From here on the page is expected to be silent."""
        self._quiet_from = len(self.requests)

    def assert_silent(self) -> None:
        """Nothing was requested since `loaded`; a WebSocket is no request here."""
        later = self.requests[self._quiet_from :]
        assert not later, f"requested after it was loaded: {later}"

    def wait_for_frames(self, more: int, timeout_s: float = DEADLINE_S) -> None:
        """Waits until `more` frames have arrived, letting the browser's events in."""
        wanted = self.frames + more
        waited_ms = 0
        while self.frames < wanted:
            assert waited_ms < timeout_s * 1000, f"{self.frames} of {wanted} frames arrived"
            self.page.wait_for_timeout(PAUSE_MS)
            waited_ms += PAUSE_MS

    def assert_no_problems(self) -> None:
        """Nothing went wrong in the page but what was allowed."""
        unexpected = [
            problem
            for problem in self.problems
            if not any(pattern.search(problem) for pattern in self._allowed)
        ]
        assert not unexpected, f"the page complained: {unexpected}"

    def _on_request(self, request: Request) -> None:
        self.requests.append(f"{request.method} {request.url}")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"{message.text} ({message.location.get('url', '')})")

    def _on_page_error(self, error: Error) -> None:
        self.problems.append(f"{error.name}: {error.message}")

    def _on_websocket(self, websocket: WebSocket) -> None:
        socket = Socket(websocket.url)
        self.sockets.append(socket)

        def receive(payload: str | bytes) -> None:
            socket.received.append(payload)

        def close(_: WebSocket) -> None:
            socket.closed = True

        websocket.on("framereceived", receive)
        websocket.on("close", close)
