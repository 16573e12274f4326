"""A crowd opens sockets at once: everybody gets in, and nobody else has to wait for all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dashboard import garbage, turnstile
from dashboard.garbage import SOCKETS_AT_ONCE, Apart
from dashboard.turnstile import A_TURN, Turnstile
from tests.socket_support import App, Peer, handshake, serving
from tests.support.waiting import aeventually


async def test_one_who_comes_alone_is_let_in_at_once() -> None:
    came: list[int] = []
    assert Turnstile.of_loop().enter(lambda: came.append(1))
    assert came == [1]


async def test_a_crowd_comes_in_in_order_and_others_have_their_turn_in_between() -> None:
    came: list[str] = []
    gate = Turnstile.of_loop()
    for number in range(10 * A_TURN):
        gate.enter(lambda number=number: came.append(f"{number}"))  # type: ignore[misc]
    for _ in range(3):
        await asyncio.sleep(0)
        came.append("a publisher")
    await aeventually(lambda: len(came) == 10 * A_TURN + 3, what="all are in")
    assert [one for one in came if one != "a publisher"] == [str(n) for n in range(10 * A_TURN)]
    assert came.index("a publisher") <= 2 * A_TURN


async def test_one_that_fails_does_not_keep_the_others_out() -> None:
    came: list[int] = []

    def fails() -> None:
        raise RuntimeError("no")

    gate = Turnstile.of_loop()
    for _ in range(A_TURN):
        gate.enter(lambda: None)
    gate.enter(fails)
    gate.enter(lambda: came.append(1))
    await aeventually(lambda: came, what="the next one is in")
    assert gate.enter(lambda: None) in (True, False)  # and it still works


async def test_hundreds_who_knock_at_once_all_get_in() -> None:
    app = App()
    async with serving(app) as running:
        peers = await asyncio.gather(*(running.dial() for _ in range(300)))
        await asyncio.gather(*(peer.send(handshake()) for peer in peers))
        heads = await asyncio.gather(*(peer.head() for peer in peers))
        assert {head[:12] for head in heads} == {b"HTTP/1.1 101"}
        for peer in peers:
            peer.sock.close()


async def waiting_at_the_door(running: Any) -> Peer:
    peer: Peer = await running.dial()
    await peer.send(handshake())
    await aeventually(
        lambda: any(getattr(one, "_is_upgrading", False) for one in running.connections),
        what="it waits",
    )
    return peer


async def test_who_still_waits_when_the_server_stops_is_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turnstile, "A_TURN", 0)
    async with serving(App()) as running:
        peer = await waiting_at_the_door(running)
        await running.stop()
        said = await peer.everything()
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in said


async def test_who_has_left_while_waiting_is_not_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App()
    monkeypatch.setattr(turnstile, "A_TURN", 0)
    async with serving(app) as running:
        peer = await waiting_at_the_door(running)
        (connection,) = running.connections
        connection.abort()
        monkeypatch.setattr(turnstile, "A_TURN", 2)
        async with await running.connect() as other:
            await peer.hung_up()
            assert other is not None
            assert app.ended == 0
            assert len(running.connections) == 1


class Collector:
    """Stands in for the module gc, and notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *generation: self.asked.append(name)


def test_a_growing_crowd_is_set_apart_now_and_then_and_tidied_when_most_have_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collector = Collector()
    monkeypatch.setattr(garbage, "gc", collector)
    apart = Apart()
    for sockets in range(1, SOCKETS_AT_ONCE):
        apart.more(sockets)
    assert collector.asked == []
    for sockets in range(SOCKETS_AT_ONCE, 4 * SOCKETS_AT_ONCE):
        apart.more(sockets)
    assert collector.asked == ["collect", "freeze"] * 3
    collector.asked.clear()
    apart.tidy(2 * SOCKETS_AT_ONCE)
    assert collector.asked == []
    apart.tidy(SOCKETS_AT_ONCE)
    apart.tidy(SOCKETS_AT_ONCE)
    assert collector.asked == ["unfreeze", "collect", "freeze"]
