"""A live query with its log, its head, a clock and clients, all held in the test's hands."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np

from dashboard.frames import Form, Frame
from dashboard.live_query import LiveQuery
from dashboard.pictures import Pictures
from metrics.catalog import Known
from metrics.columns import Columns
from metrics.head import Head
from metrics.query import Matrix, SeriesData, evaluate, parse
from tests.live_support import Shown, Table, read, table
from tests.support.memory_source import Memory

BEGAN_MS = 1_790_000_000_000
LOOKBACK_MS = 5_000
SETTLING_ROUNDS = 20


class HeldThreads(Executor):
    """Threads whose work is done, and afterwards handed over, when the test says so."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []
        self._done: list[tuple[Future[Any], Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def work(self) -> None:
        """Hands over what was done at the last call, and does what waits."""
        done, self._done = self._done, []
        for future, result in done:
            future.set_result(result)
        waiting, self._waiting = self._waiting, []
        for future, work in waiting:
            if future.set_running_or_notify_cancel():
                self._done.append((future, work()))


class Watcher:
    """A client: draws when it has to, otherwise reads the ring, but only while it is there.

    `conflated`: it takes what it has missed in one update, and in the binary form.
    """

    def __init__(self, world: World, range_ms: int, conflated: bool = False) -> None:
        self.shown = Shown()
        self.range_ms = range_ms
        self._conflated = conflated
        self._form = Form.BINARY if conflated else Form.JSON
        self.here = True
        self._world = world
        self._drawing: asyncio.Task[None] | None = None

    def read(self) -> None:
        """Takes what the ring has, or begins to draw a snapshot."""
        ring = self._world.query.ring
        if not self.here or self._drawing is not None:
            return
        seq = ring.position(self.shown.cursor)
        if seq is None:
            self._drawing = asyncio.get_running_loop().create_task(self._draw())
            return
        while seq < ring.seq:
            entry = ring.missed(seq) if self._conflated else ring.after(seq)
            assert entry is not None
            self._take(entry)
            seq = entry.seq

    async def _draw(self) -> None:
        frame = await self._world.pictures.newest(self._world.query, self.range_ms)
        self._drawing = None
        self._take(frame)

    def _take(self, frame: Frame) -> None:
        before_ms = self.shown.newest_ms
        self.shown.take(read(frame.made(1, self._form)))
        assert self.shown.newest_ms >= before_ms, "went back in time"

    def is_settled(self) -> bool:
        ring = self._world.query.ring
        return not self.here or (self._drawing is None and self.shown.cursor == ring.cursor)


class World:
    def __init__(self, expr: str, step_ms: int, head_ms: int) -> None:
        self.now_ms = BEGAN_MS
        self.expression = parse(expr)
        self.step_ms = step_ms
        self.log: dict[int, dict[int, float]] = {}
        self.series: dict[int, Known] = {}
        self.watchers: list[Watcher] = []
        self.threads = HeldThreads()
        self.pictures = Pictures(self.threads, self.stored)
        self.head = Head(BEGAN_MS - head_ms, span_ms=head_ms, most_samples=1_000_000)
        matched: dict[Any, list[Known]] = {one: [] for one in self.expression.selectors}
        self.query = LiveQuery(
            self.expression, step_ms, self.head, LOOKBACK_MS, matched, 100, BEGAN_MS
        )

    def stored(self, *_: int) -> Memory:
        """Everything that was published, as it counts now."""
        held = []
        for id, samples in self.log.items():
            times = sorted(samples)
            held.append(
                SeriesData(
                    self.series[id].labels,
                    np.array(times, np.int64),
                    np.array([samples[time] for time in times], np.float64),
                )
            )
        return Memory(held)

    def publish(self, samples: list[tuple[int, int, float]]) -> None:
        """A batch of (series, time in ms from now, value): first in the log, then in the head."""
        rows = [(id, self.now_ms + offset_ms, value) for id, offset_ms, value in samples]
        for id, time_ms, value in rows:
            if id not in self.series:
                labels = {"__name__": "x" if id % 2 else "y", "a": str(id // 2)}
                self.series[id] = Known(id, labels)
            self.log.setdefault(id, {})[time_ms] = value
        for known in self.series.values():
            self.query.add_series(known)
        columns = Columns.of(*zip(*rows, strict=True))
        self.head.apply(columns)
        touched = [time_ms for id, time_ms, _ in rows if id in self.query.ids]
        if touched:
            self.query.touch(min(touched), max(touched))

    def flush(self) -> None:
        self.query.flush(self.now_ms)

    def join(self, range_ms: int) -> Watcher:
        watcher = Watcher(self, range_ms, conflated=len(self.watchers) % 2 == 1)
        self.watchers.append(watcher)
        watcher.read()
        return watcher

    async def run(self) -> None:
        """Lets the tasks of the event loop do what they can do now."""
        for _ in range(8):
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """Until everybody who is there has seen everything."""
        for _ in range(SETTLING_ROUNDS):
            self.flush()
            for watcher in self.watchers:
                watcher.read()
            await self.run()
            self.threads.work()
            self.threads.work()
            await self.run()
            if not self.query.needs_flush(self.now_ms) and all(
                watcher.is_settled() for watcher in self.watchers
            ):
                return
        raise AssertionError("the clients never come to rest")

    def evaluated(self, start_ms: int) -> Table:
        """What a fresh evaluation of the log shows, up to the newest step."""
        return table(self.evaluation(start_ms, self.query.newest_ms))

    def evaluation(self, start_ms: int, end_ms: int) -> Matrix:
        return evaluate(
            self.expression,
            self.stored(),
            start_ms,
            end_ms,
            self.step_ms,
            LOOKBACK_MS,
            band=True,
        )

    def check(self) -> None:
        """Everybody who is there shows exactly what a fresh evaluation shows."""
        for watcher in self.watchers:
            if watcher.here:
                shown = watcher.shown
                assert shown.newest_ms <= self.query.newest_ms
                same(shown.since(shown.oldest_ms), self.evaluated(shown.oldest_ms))
                exact = self.evaluation(shown.oldest_ms, self.query.newest_ms)
                for band, true in zip(
                    shown.band_since(shown.oldest_ms), (exact.low, exact.high), strict=True
                ):
                    same(band, table(exact, true))


def same(shown: Table, evaluated: Table) -> None:
    """Asserts equality, but for the last digits."""
    assert shown.keys() == evaluated.keys()
    for labels, row in evaluated.items():
        assert shown[labels].keys() == row.keys(), set(labels)
        for time_ms, value in row.items():
            assert math.isclose(shown[labels][time_ms], value, rel_tol=1e-9), (labels, time_ms)
