"""What a hundred hostile sockets may cost the real server: little.

HOSTILE_SECONDS=60 pytest -s tests/test_websocket_rows_memory.py plays each kind for a minute.
"""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.conftest import NewServer
from tests.socket_support import CONT, PING, TEXT, frame, handshake
from tests.support.product import Product
from tests.support.waiting import DEADLINE_S
from tests.test_socket_process import Program, resident_bytes

SECONDS = float(os.environ.get("HOSTILE_SECONDS", "2"))
PEERS = 100
MOST_BYTES = 32 * 1024 * 1024
SMALL_KERNEL_BUFFER_BYTES = 4096
SERIES = 30
LARGE_BYTES = 700_000
JSON_FORM = "pulseboard.v1.json"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="reads memory from /proc"
)


def watch(id: int, expr: str) -> bytes:
    asked = {"type": "watch", "id": id, "expr": expr, "range_ms": 600_000, "step_ms": 1000}
    return json.dumps(asked).encode()


def hello(token: str) -> bytes:
    return json.dumps({"type": "hello", "token": token}).encode()


WATCHES = b"".join(frame(TEXT, watch(id, f'w{{n!="{id}"}}')) for id in range(1, 11))
# What each kind says once it is welcomed, and what it then sends for as long as it may.
KINDS = {
    "slow reader": (WATCHES, b""),
    "ping flood": (WATCHES, frame(PING, b"p" * 125) * 200),
    "fragment flood": (b"", frame(TEXT, b"", fin=False) + frame(CONT, b"ab", fin=False) * 4000),
    "compressed": (b"", bytes([0xC1, 0xFE, 0xFF, 0xFF, 0, 0, 0, 0]) + b"\0" * 65535),
    "large messages": (b"", frame(TEXT, b"x" * 60_000) * 8),
}


class Peers:
    """Sockets that never read; one that was cut comes back at once."""

    def __init__(self, port: int, path: str, hello: bytes, flood: bytes) -> None:
        self._port, self._path, self._hello, self._flood = port, path, hello, flood
        self._open: list[socket.socket] = []
        self.cut = 0

    def send(self) -> None:
        """Everybody sends as much as is taken now."""
        while len(self._open) < PEERS:
            with suppress(OSError):
                self._open.append(self._new())
        for one in list(self._open):
            try:
                if self._flood:
                    one.send(self._flood)
                elif one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise ConnectionResetError
            except BlockingIOError:
                continue
            except OSError:
                self._open.remove(one)
                one.close()
                self.cut += 1

    def close(self) -> None:
        for one in self._open:
            one.close()

    def _new(self) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_KERNEL_BUFFER_BYTES)
        sock.settimeout(DEADLINE_S)
        sock.connect(("127.0.0.1", self._port))
        offered = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        extra = f"Sec-WebSocket-Protocol: {JSON_FORM}\r\n{offered}"
        sock.sendall(handshake(self._path, extra=extra))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (byte := sock.recv(1)):
                raise ConnectionResetError
            head += byte
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"permessage-deflate" not in head
        sock.sendall(self._hello)
        sock.setblocking(False)
        return sock


def growth(process_id: int, peers: Peers, meanwhile: Callable[[], None]) -> int:
    """The most memory that the process took on while the peers were at it, in bytes."""
    before = most = resident_bytes(process_id)
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            peers.send()
            meanwhile()
            most = max(most, resident_bytes(process_id))
    finally:
        peers.close()
    return most - before


def publish(product: Product, token: str, metric: str = "w", series: int = SERIES) -> None:
    """A new value of every series."""
    samples = [
        {"metric": metric, "value": 0.123456789 * n, "labels": {"n": str(n)}} for n in range(series)
    ]
    request = urllib.request.Request(
        f"{product.base_url}/api/v1/samples",
        json.dumps({"samples": samples}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        assert answer.status == 200


@contextmanager
def reader(product: Product, token: str) -> Iterator[ClientConnection]:
    """One who reads, as it should be."""
    with connect(
        product.live_url, subprotocols=[Subprotocol(JSON_FORM)], compression=None, max_size=None
    ) as client:
        client.send(hello(token).decode())
        yield client


def warm(product: Product, reading: str, publishing: str) -> None:
    """Everything that is imported, compiled or kept once is there from now on."""
    with reader(product, reading) as client:
        for _ in range(20):
            publish(product, publishing)
        client.send(b"binary")
        with pytest.raises(ConnectionClosed):
            while True:
                client.recv(DEADLINE_S)


@pytest.fixture
def product(new_server: NewServer) -> Product:
    return new_server({"CONNECTIONS_PER_USER": "1000"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_hostile_sockets_cost_little_memory(
    product: Product, kind: str, record_property: Callable[[str, object], None]
) -> None:
    watches, flood = KINDS[kind]
    reading, publishing = product.token("reads", "read"), product.token("publishes")
    warm(product, reading, publishing)
    assert product.process is not None
    peers = Peers(product.port, "/live/", frame(TEXT, hello(reading)) + watches, flood)
    news = (lambda: publish(product, publishing)) if watches else (lambda: None)
    grown = growth(product.process.pid, peers, news)
    record_property("grown_bytes", grown)
    print(f"\n{kind}: +{grown / 2**20:.1f} MiB in {SECONDS:g} s, {peers.cut} cut")
    assert grown <= MOST_BYTES
    publish(product, publishing)  # it still works
    assert "Traceback" not in product.output


def test_a_hundred_who_never_read_share_one_large_snapshot(product: Product) -> None:
    reading, publishing = product.token("reads", "read"), product.token("publishes")
    publish(product, publishing, "big", series=500)
    with reader(product, reading) as client:
        client.send(watch(1, "big").decode())
        size = 0
        while size < LARGE_BYTES:
            size = len(client.recv(DEADLINE_S))
    said = frame(TEXT, hello(reading)) + frame(TEXT, watch(1, "big"))
    assert product.process is not None
    peers = Peers(product.port, "/live/", said, b"")
    grown = growth(product.process.pid, peers, lambda: None)
    print(f"\nlarge snapshot, {size} bytes: +{grown / 2**20:.1f} MiB in {SECONDS:g} s")
    assert PEERS * size > 2 * MOST_BYTES
    assert grown <= MOST_BYTES


def test_a_hundred_floods_to_an_app_that_does_not_listen_cost_little_memory() -> None:
    program = Program()
    try:
        peers = Peers(program.port, "/stuck/", b"", frame(TEXT, b"x" * 60_000) * 8)
        grown = growth(program.process.pid, peers, lambda: None)
        print(f"\nstuck consumer: +{grown / 2**20:.1f} MiB in {SECONDS:g} s, {peers.cut} cut")
        assert grown <= MOST_BYTES
    finally:
        program.process.kill()
        program.process.communicate()
