"""Snapshots: what a watch begins with, from the log where the head does not reach back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from django.conf import settings
from django.db import close_old_connections, connection

from dashboard import protocol
from dashboard.binary_frames import SNAPSHOT, Grid
from dashboard.finished import Finished
from dashboard.frames import Frame, GridFrame
from dashboard.live_query import LiveQuery, Picture
from dashboard.protocol import WatchRefused
from dashboard.ring import Ring
from metrics import reader, stats
from metrics.query import Expression, Matrix, Source, evaluate

HEAD_MARGIN_MS = 120_000  # the head moves on while older steps are being read
MOST_VALUES = 1_000_000  # in a snapshot: some 10 MB
KEPT_S = 5.0  # for others who ask for the same
READ_KEPT_S = 30.0  # if it was read from the log: for all who come back after a restart
LOOP_VALUES = 50_000  # evaluated on the event loop, in some 10 ms

Result = TypeVar("Result")


@dataclass(eq=False)
class Drawing:
    """A snapshot in the making, and how many wait for it."""

    task: asyncio.Task[Frame]
    waiting: int = 0


class Pictures:
    """`readers` are threads for what takes longer than the event loop may be held up; `stored`
    makes the source of what the head does not hold, for a step and a lookback in ms."""

    def __init__(
        self,
        readers: Executor,
        stored: Callable[[int, int], Source] = reader.Stored,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._readers = readers
        self._stored = stored
        self._drawings: dict[Hashable, Drawing] = {}
        self._finished = Finished(clock)

    async def newest(self, query: LiveQuery, range_ms: int) -> Frame:
        """A snapshot of the newest `range_ms`, drawn once for all who ask in the same seconds.

        It may be some seconds old; what came since follows its cursor in the ring. Raises
        ExpressionError and WatchRefused.
        """
        key = (query, range_ms)
        finished = self._finished.get(key)
        if finished is not None and _leads_on(finished, query.ring):
            return finished
        return await self._shared(key, lambda: self._draw(query, range_ms))

    async def past(self, expression: Expression, range_ms: int, end_ms: int, step_ms: int) -> Frame:
        """A snapshot that ends at `end_ms` and is followed by no updates, shared as newest() is.

        Raises ExpressionError and WatchRefused.
        """
        key = (expression.text, range_ms, end_ms, step_ms)
        finished = self._finished.get(key)
        if finished is not None:
            return finished
        return await self._shared(
            key, lambda: self._draw_past(expression, range_ms, end_ms, step_ms)
        )

    async def _shared(self, key: Hashable, draw: Callable[[], Coroutine[Any, Any, Frame]]) -> Frame:
        drawing = self._drawings.get(key)
        if drawing is None:
            task = asyncio.get_running_loop().create_task(draw())
            drawing = self._drawings[key] = Drawing(task)
        drawing.waiting += 1
        try:
            return await asyncio.shield(drawing.task)
        finally:
            drawing.waiting -= 1
            if drawing.task.done() or not drawing.waiting:
                drawing.task.cancel()
                if self._drawings.get(key) is drawing:
                    del self._drawings[key]

    def _keep(self, key: Hashable, frame: Frame, keep_s: float) -> Frame:
        stats.inc("snapshots_drawn_total")
        self._finished.put(key, frame, keep_s)
        asyncio.get_running_loop().call_later(keep_s, self._finished.drop_old)
        return frame

    async def _draw_past(
        self, expression: Expression, range_ms: int, end_ms: int, step_ms: int
    ) -> Frame:
        _check_points(range_ms, step_ms)
        last_ms = end_ms // step_ms * step_ms
        first_ms = -(-(end_ms - range_ms) // step_ms) * step_ms
        matrix = await self._evaluate(expression, first_ms, last_ms, step_ms)
        lines = [protocol.Line(dict(labels)) for labels in matrix.labels]
        band = None
        if matrix.low is not None and matrix.high is not None:
            band = matrix.low, matrix.high
        frame = self._frame(Picture(lines, matrix.times, matrix.values, step_ms, "", band))
        return self._keep((expression.text, range_ms, end_ms, step_ms), frame, KEPT_S)

    async def _draw(self, query: LiveQuery, range_ms: int) -> Frame:
        _check_points(range_ms, query.step_ms)
        start_ms = query.step_of(query.newest_ms - range_ms)
        # What the event loop may evaluate at once begins here.
        steps = LOOP_VALUES // max(1, len(query.ids))
        soonest_ms = query.newest_ms - steps * query.step_ms
        if start_ms >= max(query.head_from_ms(), soonest_ms):
            frame = self._frame(query.picture(start_ms, None))
            return self._keep((query, range_ms), frame, KEPT_S)
        # The older steps come from the log, on another thread; the newer ones from the head, at
        # the very moment whose cursor the snapshot carries.
        split_ms = max(query.head_from_ms(HEAD_MARGIN_MS), soonest_ms)
        split_ms = min(split_ms, query.newest_ms + query.step_ms)
        reading = query.begin_reading()
        began_s = time.monotonic()
        try:
            older = await self._evaluate(
                query.expression, start_ms, split_ms - query.step_ms, query.step_ms
            )
            picture = query.picture(split_ms, older)
        finally:
            query.end_reading(reading, split_ms)
            query.read_s = time.monotonic() - began_s
        return self._keep((query, range_ms), self._frame(picture), READ_KEPT_S)

    async def _evaluate(
        self, expression: Expression, start_ms: int, end_ms: int, step_ms: int
    ) -> Matrix:
        lookback_ms = settings.LOOKBACK_SECONDS * 1000
        began_s = time.monotonic()
        try:
            return await self.on_thread(
                lambda: evaluate(
                    expression,
                    self._stored(step_ms, lookback_ms),
                    start_ms,
                    end_ms,
                    step_ms,
                    lookback_ms,
                    band=True,
                )
            )
        finally:
            stats.observe("read_seconds", time.monotonic() - began_s)

    def on_thread(self, work: Callable[[], Result]) -> Awaitable[Result]:
        """Runs what may read the database."""

        def run() -> Result:
            close_old_connections()  # one that broke is not used again
            try:
                result = work()
            except BaseException:
                connection.close()  # with whatever it was reading
                raise
            if connection.vendor == "sqlite":
                connection.close_at = None  # stays open: opening takes longer than most pictures
            close_old_connections()
            return result

        return asyncio.get_running_loop().run_in_executor(self._readers, run)

    def _frame(self, picture: Picture) -> Frame:
        count = picture.values.size
        if picture.band is not None:
            if 3 * count > MOST_VALUES:  # rather lines without a band than none
                picture = replace(picture, band=None)
            else:
                count *= 3
        if count > MOST_VALUES:
            raise WatchRefused(
                "too_many_points",
                f"{len(picture.lines):,} series of {len(picture.times):,} points: at most "
                f"{MOST_VALUES:,} values fit into an answer; narrow the expression, ask for a "
                "shorter range or a longer step",
            )
        grid = Grid(
            SNAPSHOT,
            picture.times,
            picture.values,
            picture.lines,
            picture.step_ms,
            picture.band,
        )
        return GridFrame(grid, picture.cursor)


def _leads_on(snapshot: Frame, ring: Ring) -> bool:
    """Whether the ring can tell in one update, no larger, what came after a snapshot's cursor."""
    seq = ring.position(snapshot.cursor)
    if seq is None or seq == ring.seq:
        return seq is not None
    missed = ring.missed(seq)
    return missed is not None and missed.size_bytes() <= snapshot.size_bytes()


def _check_points(range_ms: int, step_ms: int) -> None:
    points = range_ms // step_ms + 1
    if points > settings.POINTS_PER_SERIES:
        raise WatchRefused(
            "too_many_points",
            f"{points:,} points a series: at most {settings.POINTS_PER_SERIES:,}; "
            "ask for a shorter range or a longer step",
        )
