"""A rolling restart under load: no sample is lost, and nobody is without live data for long."""

from __future__ import annotations

import asyncio
import csv
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from dashboard import protocol
from metrics.clock import now_ms
from tests.live_support import LiveClient, live
from tests.support.product import Product
from tests.support.waiting import DEADLINE_S, aeventually
from tests.worker_support import publish, workers

NewServer = Callable[..., Product]

PUBLISHERS = 3
WATCHERS = 12
PROMISED_S = 3.0
BUSY = 4  # this machine may be so many times slower than one that only serves


@dataclass
class Publisher:
    """Publishes numbers of its own one after the other, each until it is stored."""

    product: Product
    token: str
    name: str
    stored: set[float] = field(default_factory=set)
    again: int = 0
    began_ms: int = field(default_factory=now_ms)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            value = float(len(self.stored))
            send = partial(
                publish, self.product, self.token, self.name, value, f"{self.name}-{value}",
                time=self.began_ms + len(self.stored),
            )  # fmt: skip
            while not await asyncio.to_thread(send):
                self.again += 1
            self.stored.add(value)


@dataclass
class Watcher:
    """Watches, and comes back when it is told to go, at its moment, as a browser does."""

    product: Product
    token: str
    longest_s: float = 0.0  # without live data, from the goodbye to the next frame with data
    goodbyes: int = 0
    moment_s: float = 0.0
    lost_s: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with live(self.product.live_url, token=self.token) as client:
                    await client.watch("publisher_0")
                    await self._see(client, stop)
            except ConnectionClosed as closed:
                assert closed.rcvd is not None and closed.rcvd.code == 1012, closed
                self.goodbyes += 1
            except (OSError, InvalidHandshake):
                pass  # it met a process that was leaving, and tries again
            await at(self.moment_s)

    async def _see(self, client: LiveClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            frame = await client.hear()
            if isinstance(frame, protocol.Snapshot | protocol.Update):
                if self.lost_s is not None:
                    self.longest_s = max(self.longest_s, time.monotonic() - self.lost_s)
                self.lost_s = None
            elif isinstance(frame, protocol.Bye):
                self.lost_s = time.monotonic()
                self.moment_s = self.lost_s + frame.retry_ms[1] / 1000


async def at(moment_s: float) -> None:
    """Waits for a moment of the monotonic clock."""
    come = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.call_later(max(0.0, moment_s - time.monotonic()), come.set)
    await come.wait()


async def test_a_rolling_restart_under_load_loses_nothing_and_hardly_interrupts(
    new_server: NewServer, record_property: Callable[[str, object], None]
) -> None:
    product = await asyncio.to_thread(new_server, {"WORKERS": "2"})
    writing = await asyncio.to_thread(product.token)
    reading = await asyncio.to_thread(product.token, "reader", "read")
    publishers = [Publisher(product, writing, f"publisher_{n}") for n in range(PUBLISHERS)]
    watchers = [Watcher(product, reading) for _ in range(WATCHERS)]
    stop = asyncio.Event()
    load = [
        *(asyncio.create_task(one.run(stop)) for one in publishers),
        *(asyncio.create_task(one.run(stop)) for one in watchers),
    ]
    before = workers(product)

    def all_replaced() -> bool:
        assert not any(one.done() for one in load), "somebody gave up"
        return len(workers(product)) == 2 and not workers(product) & before

    await aeventually(lambda: min(len(one.stored) for one in publishers) > 3)
    assert product.process is not None
    os.kill(product.process.pid, signal.SIGHUP)
    await aeventually(all_replaced, timeout_s=4 * DEADLINE_S)
    reached = [len(one.stored) for one in publishers]
    await aeventually(
        lambda: all(len(one.stored) > n for one, n in zip(publishers, reached, strict=True))
    )
    await aeventually(lambda: all(one.lost_s is None for one in watchers))
    stop.set()
    await asyncio.wait_for(asyncio.gather(*load), DEADLINE_S)

    assert await asyncio.to_thread(stored_values, product) == {
        one.name: one.stored for one in publishers
    }
    assert all(one.goodbyes >= 1 for one in watchers)
    longest_s = max(one.longest_s for one in watchers)
    record_property("longest_without_live_data_s", longest_s)
    record_property("tried_again", sum(one.again for one in publishers))
    print(
        f"longest without live data: {longest_s:.2f} s; stored {sum(reached)}, "
        f"tried again {sum(one.again for one in publishers)}"
    )
    assert longest_s < PROMISED_S * BUSY
    assert await asyncio.to_thread(product.terminate) == 0


def stored_values(product: Product) -> dict[str, set[float]]:
    """Every sample of the publishers, read from the export."""
    found = {}
    for number in range(PUBLISHERS):
        rows = csv.DictReader(product.manage("export", f"publisher_{number}").splitlines())
        found[f"publisher_{number}"] = {float(row["value"]) for row in rows}
    return found
