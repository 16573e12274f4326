"""Sockets come and go by the thousand: none leaves anything to the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.server import ServerProtocol

from dashboard.http_protocol import HttpConnection
from dashboard.socket import LiveSocket
from tests.socket_support import CLOSE, TEXT, App, Peer, frame, handshake, serving
from tests.support.waiting import aeventually

Made = list[weakref.ref[Any]]


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def noted(made: Made) -> tuple[type[LiveSocket], type[HttpConnection]]:
    """The two classes, noting what is made of them."""

    class Socket(LiveSocket):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.extend((weakref.ref(self), weakref.ref(self.conn)))

    class Http(HttpConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(weakref.ref(self))

    return Socket, Http


async def drops(peer: Peer) -> None:
    peer.sock.close()


async def says_goodbye(peer: Peer) -> None:
    await peer.send(frame(CLOSE, b"\x03\xe8"))
    await peer.hung_up()


async def sends_no_text(peer: Peer) -> None:
    await peer.send(frame(TEXT, b"\xff"))
    await peer.hung_up()


async def breaks_the_protocol(peer: Peer) -> None:
    await peer.send(frame(TEXT, b"behind it comes what is no frame") + b"\xf0\x80\0\0\0\0")
    await peer.hung_up()


async def sends_too_much(peer: Peer) -> None:
    await peer.send(frame(TEXT, b"x" * 60_000) + frame(TEXT, b"x" * 70_000))
    await peer.hung_up()


LEAVING = [drops, says_goodbye, sends_no_text, breaks_the_protocol, sends_too_much]


@pytest.mark.parametrize("leave", LEAVING)
async def test_a_socket_that_has_ended_is_freed_without_the_collector(
    no_collector: None, leave: Any
) -> None:
    made: Made = []
    async with serving(App(), *noted(made)) as running:
        async with await running.connect() as peer:
            await peer.send(frame(TEXT, b"hello"))
            await peer.frame()
            await leave(peer)
        await aeventually(
            lambda: made and not any(one() for one in made), what="nothing is left of it"
        )


async def test_a_handshake_that_is_none_leaves_nothing_to_the_collector(no_collector: None) -> None:
    made: Made = []
    async with serving(App(), *noted(made)) as running:
        async with await running.dial() as peer:
            await peer.send(handshake().replace(b"Key: ", b"Key: no key at all, "))
            await peer.hung_up()
        await aeventually(
            lambda: made and not any(one() for one in made), what="nothing is left of it"
        )


async def test_an_open_socket_keeps_nothing_of_its_handshake(no_collector: None) -> None:
    made: Made = []
    async with serving(App(), *noted(made)) as running, await running.connect():
        left = [one() for one in made if one() is not None]
        assert [type(one).__mro__[1] for one in left] == [LiveSocket, ServerProtocol]
