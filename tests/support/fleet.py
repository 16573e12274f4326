"""Two processes of the product on one database, who watches there, and what they must see."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.exceptions import WebSocketException

from dashboard import protocol
from metrics.clock import now_ms
from metrics.query import evaluate, parse
from tests.live_support import LiveClient, Shown, live, read, table
from tests.live_world import same
from tests.support.memory_source import Memory, series
from tests.support.product import START_S, Product
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.waiting import aeventually

METRIC = "orders"
STEP_MS = 1000
LOOKBACK_MS = 300_000
REQUEST_S = 60.0
BETWEEN_S = 0.02

Stored = dict[str, dict[int, float]]  # publisher -> time -> value


class ProxyThread:
    """A RedisProxy for other processes, whatever the test's own event loop does."""

    def __init__(self, port: int) -> None:
        self.proxy: RedisProxy
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(port,), daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self, port: int) -> None:
        async def serve() -> None:
            self._stop = asyncio.Event()
            async with redis_proxy(port) as self.proxy:
                self._ready.set()
                await self._stop.wait()

        self._loop.run_until_complete(serve())
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


class Publisher(threading.Thread):
    """Publishes one series at one process until it is told to stop; notes what was acknowledged."""

    def __init__(self, product: Product, token: str, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._product = product
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._enough = threading.Event()
        self.acked: dict[int, float] = {}
        self.refused: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._product.port, timeout=REQUEST_S)
        last_ms = 0
        while not self._enough.wait(BETWEEN_S):
            last_ms = max(last_ms + 1, now_ms())
            value = float(len(self.acked) + len(self.refused) + 1)
            one = {"metric": METRIC, "value": value, "time": last_ms, "labels": {"by": self.name}}
            try:
                connection.request(
                    "POST", "/api/v1/samples", json.dumps({"samples": [one]}), self._headers
                )
                answer = connection.getresponse()
                said = answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.refused.append(repr(error))
            else:
                if answer.status == 200:
                    self.acked[last_ms] = value
                else:
                    self.refused.append(f"{answer.status} {said!r}")

    def finish(self) -> None:
        self._enough.set()
        self.join()


class Watcher:
    """Somebody who looks at the chart of one process, and notes what should not happen."""

    def __init__(self, product: Product, token: str) -> None:
        self.product = product
        self.shown = Shown()
        self.went_back = 0
        self.closed = 0
        self._token = token

    async def watch(self) -> None:
        """For ever; comes back when the socket closes, as a browser does."""
        while True:
            await aeventually(self._answers, 2 * START_S, "the process answers")
            with contextlib.suppress(OSError, EOFError, WebSocketException):
                async with live(self.product.live_url, token=self._token) as client:
                    await self._follow(client)
            self.closed += 1

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.product.port)
        except OSError:
            return False
        writer.close()
        return True

    async def _follow(self, client: LiveClient) -> None:
        id = await client.watch(METRIC, step_ms=STEP_MS, cursor=self.shown.cursor)
        while True:
            frame = read(await client.socket.recv())
            if getattr(frame, "id", None) == id:
                assert not isinstance(frame, protocol.Error), frame.message
                before_ms = self.shown.newest_ms
                self.shown.take(frame)
                self.went_back += self.shown.newest_ms < before_ms

    def shows(self, stored: Stored) -> bool:
        """Whether the chart is what a fresh evaluation of these samples is; says how it differs."""
        held = [series(METRIC, sorted(own.items()), by=by) for by, own in stored.items()]
        shown = self.shown
        assert shown.newest_ms >= max(max(own) for own in stored.values()), "not there yet"
        exact = evaluate(
            parse(METRIC), Memory(held), shown.oldest_ms, shown.newest_ms, STEP_MS, LOOKBACK_MS
        )
        same(shown.since(shown.oldest_ms), table(exact))
        return True


class Fleet:
    """`variables` are of both processes, such as REDIS_URL; both use the database at `url`."""

    def __init__(self, folder: Path, url: str, variables: dict[str, str]) -> None:
        common = {"DATABASE_URL": url, "SECRET_KEY": "of-the-whole-fleet" * 3, **variables}
        self.products = []
        for number in (1, 2):
            own = folder / f"process-{number}"
            own.mkdir()
            self.products.append(Product(own, common))
        try:
            for product in self.products:  # one after the other: the first migrates
                product.start()
            self.reading = self.products[0].token("reader", "read")
            self.publishing = self.products[0].token("publisher")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for product in self.products:
            product.close()

    def stored(self, since_ms: int) -> Stored:
        """What the database holds, by an export from the first process."""
        asked = (
            f"metric={METRIC}&from={since_ms}&to={now_ms() + 60_000}&format=jsonl&time_format=ms"
        )
        request = urllib.request.Request(
            f"{self.products[0].base_url}/api/v1/export?{asked}",
            headers={"Authorization": f"Bearer {self.reading}"},
        )
        found: Stored = {}
        with urllib.request.urlopen(request, timeout=REQUEST_S) as answer:
            for line in answer:
                row = json.loads(line)
                found.setdefault(row["labels"]["by"], {})[row["time"]] = row["value"]
        return found


class Scene:
    """A fleet with two watchers and a publisher at each process, while a test does its worst."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.began_ms = now_ms()
        self.watchers = [Watcher(one, fleet.reading) for one in fleet.products for _ in range(2)]
        self.publishers = [
            Publisher(one, fleet.publishing, f"{self.began_ms}-{number}")
            for number, one in enumerate(fleet.products)
        ]

    async def everybody_sees_more(self, count: int = 10) -> None:
        """Until each watcher was shown what each publisher has published from now on."""
        wanted = {one.name: len(one.acked) + count for one in self.publishers if one.is_alive()}

        def seen(watcher: Watcher) -> bool:
            shown = watcher.shown
            newest = {
                dict(labels)["by"]: max(row.values(), default=0.0)
                for labels, row in zip(shown.labels, shown.values, strict=True)
            }
            return all(newest.get(name, 0.0) >= value for name, value in wanted.items())

        await aeventually(lambda: all(map(seen, self.watchers)), what="everybody sees more")

    async def converge(self) -> float:
        """Publishing stops; until every chart equals the store. The seconds that took."""
        for one in self.publishers:
            await asyncio.to_thread(one.finish)
        began_s = time.monotonic()
        stored = await asyncio.to_thread(self.fleet.stored, self.began_ms - 600_000)
        for one in self.publishers:
            lost = one.acked.items() - stored.get(one.name, {}).items()
            assert not lost, f"acknowledged and not stored: {sorted(lost)[:5]}"
        for watcher in self.watchers:
            await aeventually(lambda watcher=watcher: watcher.shows(stored))  # type: ignore[misc]
        return time.monotonic() - began_s


@asynccontextmanager
async def scene(fleet: Fleet, on_end: Callable[[], None] = lambda: None) -> AsyncIterator[Scene]:
    """Everybody watches and publishes when this is entered."""
    made = Scene(fleet)
    tasks = [asyncio.create_task(watcher.watch()) for watcher in made.watchers]
    for publisher in made.publishers:
        publisher.start()
    try:
        await made.everybody_sees_more()
        yield made
    except BaseException as error:
        for task in tasks:
            if task.done() and not task.cancelled():
                error.add_note(f"a watcher had ended: {task.exception()!r}")
        raise
    finally:
        on_end()
        for publisher in made.publishers:
            await asyncio.to_thread(publisher.finish)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [one for one in ended if not isinstance(one, asyncio.CancelledError)]
    assert not failures, failures
