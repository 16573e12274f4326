"""Plain HTTP requests that are half, doubtful, or too much."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from dashboard.body_limit import BodyLimit
from dashboard.headers import HEADERS
from dashboard.http_protocol import HttpConnection
from tests.socket_support import App, Message, Receive, Running, Send, answer, serving
from tests.support.waiting import aeventually


class Impatient(HttpConnection):
    """The real rules with short times."""

    header_timeout_s = 0.5
    body_timeout_s = 0.2
    drain_timeout_s = 0.2
    linger_timeout_s = 0.3


async def exchange(running: Running, request: bytes) -> bytes:
    async with await running.dial() as peer:
        await peer.send(request)
        return await peer.everything()


@pytest.mark.parametrize(
    "half", [b"GET / HTTP/1.1\r\nHost: x\r\n", b"GE", b"\r\n\r\n\r\n"], ids=repr
)
async def test_half_a_request_is_answered_408_after_the_header_timeout(half: bytes) -> None:
    async with serving(App(), http_class=Impatient) as running:
        answered = await exchange(running, half)
        assert answered.startswith(b"HTTP/1.1 408 ")
        assert b"not complete within 0.5 s" in answered


async def test_a_request_that_trickles_in_does_not_extend_its_time() -> None:
    async with serving(App(), http_class=Impatient) as running, await running.dial() as peer:
        await peer.send(b"GET / HTTP/1.1\r\n")
        (connection,) = await aeventually(lambda: running.connections)
        timer = connection._request_timer
        await peer.send(b"Host: x\r\n")
        await aeventually(lambda: connection._header_bytes > 20)
        assert connection._request_timer is timer
        assert b" 408 " in await peer.everything()


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with serving(App(), http_class=Impatient) as running:
        assert await exchange(running, b"") == b""


async def test_a_half_second_request_on_a_kept_connection_has_the_same_limit() -> None:
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(App(), http_class=Impatient) as running, await running.dial() as peer:
        await peer.send(whole)
        assert (await peer.head()).startswith(b"HTTP/1.1 200 ")
        await peer.send(b"GET /again")
        assert b"HTTP/1.1 408 " in await peer.everything()


async def test_a_body_that_stops_coming_is_answered_408_and_the_app_is_told() -> None:
    ended: list[Message] = []

    async def read(scope: Message, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                ended.append(message)
                return

    async with serving(read, http_class=Impatient) as running:
        request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"
        answered = await exchange(running, request)
        assert answered.startswith(b"HTTP/1.1 408 ")
        assert b"request's body for 0.2 s" in answered
        await aeventually(lambda: ended)


async def test_an_answer_that_nobody_reads_is_dropped() -> None:
    async def pour(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})

    async with (
        serving(pour, http_class=Impatient) as running,
        await running.dial(receive_bytes=4096) as peer,
    ):
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await aeventually(lambda: running.connections)
        await aeventually(lambda: not running.connections)


async def test_a_socket_outlives_the_timers_of_the_request_that_opened_it() -> None:
    async with serving(App(), http_class=Impatient) as running, await running.connect():
        (connection,) = running.connections
        assert not isinstance(connection, HttpConnection)
        idle = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(Impatient.body_timeout_s * 2, idle.set_result, None)
        await idle
        assert running.connections == [connection]


@pytest.mark.parametrize("hosts", [[], ["a", "b"], ["a", "a"]], ids=["none", "two", "same twice"])
async def test_anything_but_one_host_header_is_refused(hosts: list[str]) -> None:
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    async with serving(App()) as running:
        answered = await exchange(running, f"GET / HTTP/1.1\r\n{lines}\r\n".encode())
        assert answered.startswith(b"HTTP/1.1 400 ")
        assert f"one Host header; this has {len(hosts)}".encode() in answered


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 101 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 1_000_000,
    ],
    ids=["too many", "too long"],
)
async def test_too_much_in_the_headers_is_refused_with_431(request_bytes: bytes) -> None:
    async with serving(App()) as running:
        assert (await exchange(running, request_bytes)).startswith(b"HTTP/1.1 431 ")


async def test_what_is_no_http_is_answered_400() -> None:
    async with serving(App()) as running:
        assert (await exchange(running, b"\x16\x03\x01\x02\x00\x01")).startswith(b"HTTP/1.1 400 ")


async def test_a_header_with_an_underscore_cannot_pass_for_a_proxys() -> None:
    scopes: list[Message] = []

    async def look(scope: Message, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await answer(send, 200, b"")

    request = b"GET / HTTP/1.0\r\nX_Forwarded_For: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8\r\n\r\n"
    async with serving(look) as running:
        await exchange(running, request)
    async with serving(look, trusted_proxies=["127.0.0.1"]) as running:
        await exchange(running, request)
    assert not [name for scope in scopes for name, _ in scope["headers"] if b"_" in name]
    assert [scope["client"][0] for scope in scopes] == ["127.0.0.1", "8.8.8.8"]


async def test_a_body_of_many_small_pieces_after_its_headers_is_not_a_long_header() -> None:
    body = b"x" * 500_000

    async def count(scope: Message, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
        await answer(send, 200, str(size).encode())

    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 500000\r\n\r\n"
    async with serving(count) as running:
        assert (await exchange(running, head + body)).endswith(b"\r\n\r\n500000")


class Counting:
    """Reads the whole body and says how long it is."""

    def __init__(self) -> None:
        self.read_bytes = 0
        self.ends: list[str] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.read_bytes = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.ends.append("disconnect")
                await answer(send, 500, b"must not be seen")
                return
            self.read_bytes += len(message["body"])
            if not message["more_body"]:
                await answer(send, 200, str(self.read_bytes).encode())
                return


LIMIT_BYTES = 100_000
CHUNK = b"10000\r\n" + b"c" * 0x10000 + b"\r\n"


def limited(app: Any) -> Any:
    return BodyLimit(app, LIMIT_BYTES)


def assert_413(answered: bytes) -> None:
    head, _, body = answered.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in head
    assert json.loads(body) == {
        "error": "The body of this request is too large: at most 100000 bytes are taken."
    }


async def test_a_body_that_announces_too_much_is_refused_before_the_app_runs() -> None:
    app = Counting()
    async with serving(limited(app)) as running:
        assert_413(
            await exchange(
                running,
                b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                b"Content-Length: 100001\r\n\r\n",
            )
        )
    assert app.read_bytes == 0


async def test_the_413_has_the_security_headers() -> None:
    head = b"POST / HTTP/1.1\r\nHost: site.example\r\n"
    announced = head + b"Content-Length: 100001\r\n\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + CHUNK
    async with serving(limited(Counting())) as running:
        for request in (announced, chunked):
            answered = await exchange(running, request)
            assert_413(answered)
            lines = answered.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
            found = dict(line.split(": ", 1) for line in lines)
            for name, value in HEADERS.items():
                if name != "Cache-Control":
                    assert found[name.lower()] == value
            assert found["cache-control"] == "no-store"
            assert "connect-src 'self' ws://site.example;" in found["content-security-policy"]


async def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large() -> None:
    app = Counting()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(limited(app)) as running, await running.dial() as peer:
        await peer.send(head + CHUNK + CHUNK)
        assert_413(await peer.everything())
    assert app.read_bytes <= LIMIT_BYTES
    assert app.ends == ["disconnect"]


async def test_the_413_arrives_although_the_client_goes_on_sending() -> None:
    app = Counting()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(limited(app), http_class=Impatient) as running, await running.dial() as peer:
        await peer.send(head)
        flood = asyncio.create_task(peer.send_until_cut(CHUNK))
        answered = await peer.everything()
        await flood
        assert_413(answered)
    assert app.read_bytes <= LIMIT_BYTES


async def test_a_body_within_the_limit_passes() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
    async with serving(limited(Counting())) as running:
        answered = await exchange(running, head + b"x" * LIMIT_BYTES)
        assert answered.endswith(b"\r\n\r\n100000")


async def test_sockets_pass_the_body_limit_untouched() -> None:
    app = App()
    async with serving(limited(app)) as running, await running.connect():
        assert running.connections
