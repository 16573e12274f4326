"""Snapshots: what a watch begins with, from the log where the head does not reach back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import msgspec
from django.conf import settings
from django.db import close_old_connections

from dashboard import protocol
from dashboard.live_query import LiveQuery, Picture
from dashboard.protocol import WatchRefused
from dashboard.ring import Frame
from metrics import reader, stats
from metrics.columns import Floats
from metrics.query import Expression, Matrix, Source, evaluate

HEAD_MARGIN_MS = 120_000  # the head moves on while older steps are being read
MOST_VALUES = 1_000_000  # in a snapshot: some 10 MB
LOOP_VALUES = 50_000  # evaluated on the event loop, in some 10 ms
SMALL_VALUES = 20_000  # encoded at once, in a few ms

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
        self, readers: Executor, stored: Callable[[int, int], Source] = reader.Stored
    ) -> None:
        self._readers = readers
        self._stored = stored
        self._drawings: dict[tuple[LiveQuery, int], Drawing] = {}

    async def newest(self, query: LiveQuery, range_ms: int) -> Frame:
        """A snapshot of the newest `range_ms`, drawn once for all who ask at the same time.

        Raises ExpressionError and WatchRefused.
        """
        key = (query, range_ms)
        drawing = self._drawings.get(key)
        if drawing is None:
            task = asyncio.get_running_loop().create_task(self._draw(query, range_ms))
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

    async def past(self, expression: Expression, range_ms: int, end_ms: int, step_ms: int) -> Frame:
        """A snapshot that ends at `end_ms` and is followed by no updates.

        Raises ExpressionError and WatchRefused.
        """
        _check_points(range_ms, step_ms)
        last_ms = end_ms // step_ms * step_ms
        first_ms = -(-(end_ms - range_ms) // step_ms) * step_ms
        matrix = await self._evaluate(expression, first_ms, last_ms, step_ms)
        lines = [protocol.Line(dict(labels)) for labels in matrix.labels]
        band = None
        if matrix.low is not None and matrix.high is not None:
            band = matrix.low, matrix.high
        return await self._frame(
            Picture(lines, matrix.times.tolist(), matrix.values, step_ms, "", band)
        )

    async def _draw(self, query: LiveQuery, range_ms: int) -> Frame:
        _check_points(range_ms, query.step_ms)
        start_ms = query.step_of(query.newest_ms - range_ms)
        # What the event loop may evaluate at once begins here.
        steps = LOOP_VALUES // max(1, len(query.ids))
        soonest_ms = query.newest_ms - steps * query.step_ms
        if start_ms >= max(query.head_from_ms(), soonest_ms):
            return await self._frame(query.picture(start_ms, None))
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
        return await self._frame(picture)

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
                return work()
            finally:
                close_old_connections()

        return asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def _frame(self, picture: Picture) -> Frame:
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
        if count <= SMALL_VALUES:
            return _encoded(picture)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, _encoded, picture)


def _encoded(picture: Picture) -> Frame:
    snapshot = protocol.Snapshot(
        0,
        picture.lines,
        picture.times,
        _rows(picture.values),
        picture.step_ms,
        picture.cursor,
        *(map(_rows, picture.band) if picture.band is not None else ()),
    )
    return Frame(protocol.encode(snapshot), picture.cursor)


def _rows(values: Floats) -> list[list[float | None]]:
    # Row by row: the event loop's thread gets its turn in between.
    rows = [msgspec.Raw(protocol.encode_row(row.tolist())) for row in values]
    return cast(list[list[float | None]], rows)


def _check_points(range_ms: int, step_ms: int) -> None:
    points = range_ms // step_ms + 1
    if points > settings.POINTS_PER_SERIES:
        raise WatchRefused(
            "too_many_points",
            f"{points:,} points a series: at most {settings.POINTS_PER_SERIES:,}; "
            "ask for a shorter range or a longer step",
        )
