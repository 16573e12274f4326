"""Acknowledgements: what bounds a client that does not read, where the server never pushes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from dashboard import acks, protocol
from dashboard import ring as rings
from dashboard.acks import TooSlow, Window
from dashboard.frames import Form
from dashboard.protocol import Close
from metrics.clock import now_ms
from tests.live_support import LiveClient, live
from tests.support.daphne import Daphne
from tests.support.product import Product
from tests.test_connection import Client, quiet, update, watch

PANELS = 40  # with a past of about 190 KB each
PUBLISH = """
from metrics import publish
from metrics.clock import now_ms
from metrics.samples import Sample
publish.record([Sample("panel", 1.0, {}, now_ms() - 150_000)])
"""


@pytest.fixture
def _small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acks, "UNACKED_BYTES", 1000)


@pytest.mark.usefixtures("_small_window")
class TestWindow:
    async def test_who_acknowledges_nothing_is_too_slow(self) -> None:
        window = Window(patience_s=0.01)
        await window.admit(1000)
        with pytest.raises(TooSlow, match=r"nothing was acknowledged for 0\.01 s"):
            await window.admit(1)

    async def test_a_message_larger_than_the_window_goes_alone(self) -> None:
        window = Window(patience_s=0.01)
        await window.admit(5000)
        with pytest.raises(TooSlow):
            await window.admit(1)
        window.acknowledge(1)
        await window.admit(5000)

    async def test_acknowledging_lets_the_next_go(self) -> None:
        window = Window()
        for _ in range(10):
            await window.admit(100)
        waiting = asyncio.create_task(window.admit(150))
        await quiet()
        assert not waiting.done()
        window.acknowledge(1)
        await quiet()
        assert not waiting.done(), "100 bytes are not enough"
        window.acknowledge(2)
        await waiting

    async def test_numbers_that_cannot_be_change_nothing(self) -> None:
        window = Window(patience_s=0.01)
        await window.admit(900)
        window.acknowledge(2**53)
        await window.admit(900)
        window.acknowledge(0)
        with pytest.raises(TooSlow):
            await window.admit(900)


@pytest.mark.usefixtures("_small_window")
async def test_what_waits_for_an_acknowledgement_is_conflated() -> None:
    client = Client(Form.BINARY, Window())
    writer = asyncio.create_task(client.sink.write())
    ring = rings.Ring()
    client.connection.add(watch(1, ring))
    for _ in range(40):
        update(ring)
        await quiet()
    before = len(client.frames)
    assert sum(map(len, client.texts)) <= 1000
    client.sink.acknowledge(before)
    await client.heard(before + 2)
    assert client.told()[-1] == "Update 1:40"
    writer.cancel()


class Reader(LiveClient):
    """A client that acknowledges what it reads."""

    async def read_until(self, wanted: int) -> int:
        """How many snapshots came, acknowledged one by one."""
        heard, snapshots = 1, 0  # the welcome
        while snapshots < wanted:
            frame = await self.hear()
            assert not isinstance(frame, protocol.Error), frame.message
            snapshots += isinstance(frame, protocol.Snapshot) and len(frame.times) > 10_000
            heard += 1
            await self.say(protocol.Ack(heard))
        return snapshots


@pytest.fixture(scope="module")
def daphne(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str] | None
) -> Iterator[Product]:
    product = Daphne(tmp_path_factory.mktemp("daphne"), new_database=new_database)
    try:
        product.start()
        product.manage("shell", "-v0", "-c", PUBLISH)
        yield product
    finally:
        product.close()


class TestDaphne:
    async def test_who_never_acknowledges_costs_little_and_is_sent_away(
        self, daphne: Product
    ) -> None:
        token = await asyncio.to_thread(daphne.token, "stuck", "read")
        sizes = await asyncio.gather(*(self._never_acknowledges(daphne, token) for _ in range(3)))
        for size in sizes:
            assert 0 < size <= acks.UNACKED_BYTES + 1000

    async def _never_acknowledges(self, daphne: Product, token: str) -> int:
        """Asks for far more than it may have on its way; how many bytes came until the end."""
        size = 0
        async with live(daphne.live_url, token=token) as client:
            await ask(client)
            with suppress(ConnectionClosed):
                while True:
                    size += len(await client.socket.recv())
            assert client.socket.close_code == Close.SLOW
        return size

    async def test_who_acknowledges_gets_everything(self, daphne: Product) -> None:
        token = await asyncio.to_thread(daphne.token, "reads", "read")
        async with live(daphne.live_url) as client:
            welcome = await client.hello(token)
            assert welcome.ack_ms == acks.ACK_MS
            await ask(client)
            assert await Reader(client.socket).read_until(PANELS) == PANELS


async def ask(client: LiveClient) -> None:
    end_ms = now_ms()
    for number in range(PANELS):
        await client.watch("panel", range_ms=109_000, step_ms=10, end_ms=end_ms - number * 10)
