"""Peers that are gone are noticed, and a stop tells everybody, however many do not listen."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from dashboard import hub as hubs
from dashboard import server
from dashboard.asgi import application
from dashboard.background import Roles, background
from dashboard.leaving import STOP_TIMEOUT_S
from dashboard.socket import LiveSocket
from metrics import intake
from metrics.clock import now_ms
from metrics.samples import Sample
from tests.site_support import Site, site
from tests.socket_support import PONG, TEXT, Peer, Running, frame, handshake, serving
from tests.support.product import Product
from tests.support.waiting import DEADLINE_S, aeventually

__all__ = ["site"]  # a fixture

JSON_FORM = "pulseboard.v1.json"
NOTICED_S = 30.0  # promise P9 allows 45
STUCK, READERS = 100, 20
SMALL_KERNEL_BUFFER_BYTES = 4096
EXTRA = f"Sec-WebSocket-Protocol: {JSON_FORM}\r\n"


class Impatient(LiveSocket):
    """The real rules with short times."""

    drain_timeout_s = 0.3
    close_timeout_s = 0.2


def test_as_configured_a_dead_peer_is_noticed_in_time() -> None:
    config = server.make_config(application)
    assert config.ws_ping_interval and config.ws_ping_timeout
    assert config.ws_ping_interval + config.ws_ping_timeout <= NOTICED_S
    assert LiveSocket.drain_timeout_s <= 5
    assert LiveSocket.close_timeout_s <= 1


@asynccontextmanager
async def impatient(**config: Any) -> AsyncIterator[Site]:
    """The whole application with short times."""
    without_jobs = lambda: background(Roles(jobs=False, collect=False))  # noqa: E731
    async with serving(application, Impatient, background=without_jobs, **config) as running:
        yield Site(running)


async def welcomed(site: Site, running: Running, **options: Any) -> Peer:
    """A peer that may read, and has read that."""
    peer = await running.dial(**options)
    await peer.send(handshake(extra=EXTRA))
    assert (await peer.head()).startswith(b"HTTP/1.1 101 ")
    hello = json.dumps({"type": "hello", "token": await site.token("read", str(id(peer)))})
    await peer.send(frame(TEXT, hello.encode()))
    while b"welcome" not in (await peer.frame())[1]:
        pass
    return peer


@pytest.mark.django_db(transaction=True)
async def test_of_a_peer_that_is_silent_for_good_nothing_stays() -> None:
    """As when its cable was pulled: no pong, no FIN; others answer and stay."""
    async with impatient(ping_interval_s=0.5, pong_timeout_s=2.0) as site:
        members = (await hubs.get()).members
        dead = await welcomed(site, site.running)
        async with site.reading():  # answers pings
            assert len(members) == 2
            code, reason = await dead.goodbye()
            assert (code, reason) == (4410, "no pong within 2 s")
            await aeventually(lambda: len(members) == 1, what="the dead one is no member")
            await aeventually(lambda: len(site.running.connections) == 1)
            tasks = site.running.server.server_state.tasks
            await aeventually(lambda: len(tasks) == 1, what="its task has ended")
        dead.sock.close()


@pytest.mark.django_db(transaction=True)
async def test_of_a_peer_that_never_reads_nothing_stays() -> None:
    async with impatient() as site:
        members = (await hubs.get()).members
        at_ms = now_ms()
        await intake.aaccept(
            [
                Sample("wide", number / 7, {"n": "x" * 200 + str(number)}, at_ms)
                for number in range(1000)
            ],
            now_ms=at_ms,
        )
        stuck = await welcomed(site, site.running, receive_bytes=SMALL_KERNEL_BUFFER_BYTES)
        for id in range(1, 40):
            await stuck.send(frame(TEXT, watch("wide", id)))
        await aeventually(lambda: not len(members), what="it is no member any more")
        await aeventually(lambda: not site.running.connections)
        await aeventually(lambda: not site.running.server.server_state.tasks)
        stuck.sock.close()


async def test_a_pong_that_nobody_asked_for_does_no_harm(site: Site) -> None:
    peer = await welcomed(site, site.running)
    await peer.send(frame(PONG, b"unasked"))
    await peer.send(frame(TEXT, json.dumps({"type": "watch_metrics", "id": 1}).encode()))
    while b'"metrics"' not in (await peer.frame())[1]:
        pass
    peer.sock.close()


def watch(expr: str, id: int) -> bytes:
    asked = {"type": "watch", "id": id, "expr": expr, "range_ms": 60_000, "step_ms": 1000}
    return json.dumps(asked).encode()


def stuck_client(product: Product, token: str) -> socket.socket:
    """Asks for far more than it reads, which is nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_KERNEL_BUFFER_BYTES)
    sock.settimeout(DEADLINE_S)
    sock.connect(("127.0.0.1", product.port))
    sock.sendall(handshake(extra=EXTRA))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")
    sock.sendall(frame(TEXT, json.dumps({"type": "hello", "token": token}).encode()))
    for id in range(1, 20):
        sock.sendall(frame(TEXT, watch('{__name__=~"pulseboard_.+"}', id)))
    return sock


def test_a_stop_with_a_hundred_stuck_clients_tells_every_reader_and_ends_in_time(
    new_server: Callable[..., Product],
) -> None:
    product = new_server({"CONNECTIONS_PER_USER": "1000"})
    token = product.token("reads", "read")
    assert product.process is not None
    with ExitStack() as stack:
        for _ in range(STUCK):
            stack.enter_context(stuck_client(product, token))
        readers = [
            stack.enter_context(
                connect(
                    product.live_url,
                    subprotocols=[Subprotocol(JSON_FORM)],
                    compression=None,
                    ping_interval=None,
                )
            )
            for _ in range(READERS)
        ]
        for reader in readers:
            reader.send(json.dumps({"type": "hello", "token": token}))
            assert json.loads(reader.recv(DEADLINE_S))["type"] == "welcome"
        product.process.send_signal(signal.SIGTERM)
        ends = []
        for reader in readers:
            try:
                while True:
                    reader.recv(DEADLINE_S)
            except ConnectionClosed as closed:
                assert closed.rcvd is not None, "closed without a code"
                ends.append((closed.rcvd.code, bool(closed.rcvd.reason)))
        assert ends == [(1012, True)] * READERS
        assert product.process.wait(DEADLINE_S) == 0
    # What would have taken longer than a stop may take is left behind, and said to be.
    assert STOP_TIMEOUT_S < 5
    assert "did not stop" not in product.output
