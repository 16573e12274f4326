"""A real browser whose WebSockets never open, as behind a proxy that strips Upgrade."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.support.product import Product
from tests.support.waiting import DEADLINE_S

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.conftest import NewServer
    from tests.support.traffic import Traffic

WITHOUT_SOCKETS = """
window.WebSocket = class {
  bufferedAmount = 0;
  constructor() { setTimeout(() => this.onclose?.({code: 1006, reason: ""}), 0); }
  send() {}
  close() {}
};
"""
# What Chromium says of a handshake that is answered like any request.
NO_SOCKET = "WebSocket connection to .* failed"
# What Chromium says of a request that a proxy has answered.
BAD_GATEWAY = "502"


def publish(server: Product, token: str, value: float) -> None:
    sample = {"metric": "orders", "value": value}
    request = urllib.request.Request(
        f"{server.base_url}/api/v1/samples",
        json.dumps({"samples": [sample]}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:
        assert response.status == 200


def shows(page: Page, value: str) -> None:
    """Waits until the list of metrics shows this value of orders."""
    page.get_by_role("row").filter(has_text="orders").filter(has_text=value).wait_for()


@pytest.mark.parametrize(("way", "workers"), [("SSE", 1), ("SSE", 3), ("polling", 3)])
def test_values_arrive_without_a_reload(
    new_server: NewServer, page: Page, traffic: Traffic, way: str, workers: int
) -> None:
    server = new_server({"WORKERS": str(workers)})
    token = server.token()
    traffic.allow("404")  # a frame that came to another process than its stream's
    page.add_init_script(WITHOUT_SOCKETS)
    if way == "polling":
        traffic.allow(BAD_GATEWAY)
        page.route("**/live/events", lambda route: route.fulfill(status=502, body="no"))
    page.goto(server.link)
    page.goto(f"{server.base_url}/metrics/")
    page.get_by_text(f"Live (over {way})").wait_for()
    page.evaluate("window.neverReloaded = true")
    for value in (47, 48, 49):
        publish(server, token, value)
        shows(page, str(value))
    assert page.evaluate("window.neverReloaded") is True
    assert not traffic.sockets


@contextmanager
def strict_proxy(server: Product) -> Iterator[str]:
    """The address of a proxy before the server that takes the Upgrade header out of requests."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", server.port)) as upstream:
                back = threading.Thread(target=pump, args=(upstream, self.request), daemon=True)
                back.start()
                pump(self.request, upstream, b"Upgrade: websocket\r\n")
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as proxy:
        proxy.daemon_threads = True  # the browser keeps its connections until it is closed
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
        proxy.shutdown()


def pump(source: socket.socket, to: socket.socket, without: bytes = b"") -> None:
    """Hands on what comes, until one of the ends has left."""
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data.replace(without, b"") if without else data)
    with suppress(OSError):
        to.shutdown(socket.SHUT_WR)


def test_behind_a_proxy_that_strips_upgrade_a_board_is_live_and_remembers_how(
    server: Product, page: Page, traffic: Traffic
) -> None:
    traffic.allow(NO_SOCKET)
    with strict_proxy(server) as address:
        page.goto(server.link.replace(server.base_url, address))
        page.get_by_text("Live (over SSE)").wait_for()
        page.locator("#panels").get_by_text("Load").first.wait_for()
        tried = len(traffic.sockets)
        assert tried == 2
        page.reload()
        page.get_by_text("Live (over SSE)").wait_for()
        assert len(traffic.sockets) == tried
    assert not any(request.endswith("/live/poll") for request in traffic.requests)
