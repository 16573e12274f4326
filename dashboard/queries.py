"""The live queries of a hub: who watches which series, and when each is evaluated next."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import Executor

from django.conf import settings

from dashboard.live_query import LiveQuery
from dashboard.pictures import Pictures
from dashboard.protocol import WatchRefused
from metrics import catalog, reader
from metrics.catalog import Known
from metrics.clock import now_ms
from metrics.columns import Columns
from metrics.head import Head
from metrics.query import EvaluationError, Expression, Selector

logger = logging.getLogger(__name__)

MOST_QUERIES = 5000  # different expressions and steps, over all connections
LINGER_S = 60.0  # an unwatched query goes on this long: who reconnects finds its ring
FLUSH_SHARE = 0.1  # of the event loop's time that one query may take; more makes it slower
ANEW_REST_S = 2.0  # after a query began anew; its readers all take a snapshot
ANEW_MOST_REST_S = 60.0
ANEW_READ_SHARE = 0.1  # of the time may go into reading these snapshots from the log


class Queries:
    def __init__(self, head: Head, readers: Executor) -> None:
        self.pictures = Pictures(readers)
        self._head = head
        self._queries: dict[tuple[str, int], LiveQuery] = {}
        self._by_series: dict[int, set[LiveQuery]] = {}
        self._watchers: dict[LiveQuery, int] = {}
        self._unwatched_s: dict[LiveQuery, float] = {}  # in the order of their time
        self._due_s: dict[LiveQuery, float] = {}
        self._dirty: set[LiveQuery] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._met = 0  # how far the queries have been shown what the catalog has met

    def __len__(self) -> int:
        return len(self._queries)

    # -- watching ------------------------------------------------------------------------------

    async def watch(self, expression: Expression, step_ms: int) -> LiveQuery:
        """The live query for an expression; unwatch() it in the end.

        Raises WatchRefused.
        """
        key = (expression.text, step_ms)
        query = self._queries.get(key)
        if query is None:
            known = catalog.met_count()
            try:
                matched = await self.pictures.on_thread(
                    lambda: {one: reader.matching(one) for one in expression.selectors}
                )
            except EvaluationError as error:
                raise WatchRefused("too_many_series", str(error)) from None
            query = self._queries.get(key) or self._make(expression, step_ms, matched)
            # What the catalog has learnt meanwhile was shown to the other queries only.
            for series in catalog.met_since(known)[0]:
                self._introduce(series, query)
        self._watchers[query] = self._watchers.get(query, 0) + 1
        self._unwatched_s.pop(query, None)
        return query

    def unwatch(self, query: LiveQuery) -> None:
        self._watchers[query] -= 1
        if self._watchers[query] == 0:
            self._unwatched_s[query] = time.monotonic()

    def _make(
        self, expression: Expression, step_ms: int, matched: dict[Selector, list[Known]]
    ) -> LiveQuery:
        if len(self._queries) >= MOST_QUERIES:
            if not self._unwatched_s:
                raise WatchRefused(
                    "too_many_watches",
                    f"{MOST_QUERIES:,} different expressions are watched already: come back later",
                )
            self._end(next(iter(self._unwatched_s)))
        query = LiveQuery(
            expression,
            step_ms,
            self._head,
            settings.LOOKBACK_SECONDS * 1000,
            matched,
            settings.SERIES_PER_QUERY,
            now_ms(),
        )
        self._queries[expression.text, step_ms] = query
        for id in query.ids:
            self._by_series.setdefault(id, set()).add(query)
        return query

    def expire(self, now_s: float) -> None:
        """Ends queries that nobody has watched for a while."""
        for query, since_s in list(self._unwatched_s.items()):
            if now_s - since_s > LINGER_S:
                self._end(query)

    def _end(self, query: LiveQuery) -> None:
        del self._unwatched_s[query], self._watchers[query]
        del self._queries[query.expression.text, query.step_ms]
        self._due_s.pop(query, None)
        self._dirty.discard(query)
        for id in query.ids:
            self._by_series[id].discard(query)
            if not self._by_series[id]:
                del self._by_series[id]

    # -- samples -------------------------------------------------------------------------------

    def meet_new_series(self) -> list[Known]:
        """Shows every query the series that are new to this process; returns those."""
        new, self._met = catalog.met_since(self._met)
        for known in new:
            for query in self._queries.values():
                self._introduce(known, query)
        return new

    def drop_series(self, ids: set[int]) -> None:
        """Series were deleted: nobody is shown them any longer."""
        for query in {query for id in ids for query in self._by_series.pop(id, ())}:
            query.drop_series(ids)

    def _introduce(self, known: Known, query: LiveQuery) -> None:
        if query.add_series(known):
            self._by_series.setdefault(known.id, set()).add(query)

    def touch(self, columns: Columns, arrived_ns: int) -> None:
        """Tells the queries of new samples of their series, and evaluates those that are due."""
        if not self._by_series:
            return
        spans: dict[LiveQuery, tuple[int, int]] = {}
        for id, time_ms in zip(columns.series.tolist(), columns.times.tolist(), strict=True):
            for query in self._by_series.get(id, ()):
                oldest, newest = spans.get(query, (time_ms, time_ms))
                spans[query] = (min(oldest, time_ms), max(newest, time_ms))
        for query, (oldest, newest) in spans.items():
            query.touch(oldest, newest, arrived_ns)
            self._dirty.add(query)
        if spans:
            self._flush_due()

    def pulse(self) -> None:
        """Looks for steps that have passed without samples."""
        now = now_ms()
        self._dirty.update(query for query in self._queries.values() if query.needs_flush(now))
        self._flush_due()

    def _flush_due(self) -> None:
        """Leading edge first: a quiet query is evaluated at once, a busy one at its next tick."""
        now_s = time.monotonic()
        for query in [q for q in self._dirty if self._due_s.get(q, 0.0) <= now_s]:
            self._dirty.discard(query)
            self._flush(query, now_s)
        if self._dirty:
            self._ring_at(min(self._due_s[query] for query in self._dirty) - now_s)

    def _ring_at(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        at_s = loop.time() + max(0.001, delay_s)
        if self._timer is not None:
            if self._timer.when() <= at_s:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at_s, self._timer_rang)

    def _timer_rang(self) -> None:
        self._timer = None
        self._flush_due()

    def _flush(self, query: LiveQuery, now_s: float) -> None:
        epoch = query.ring.epoch
        began_s = time.monotonic()
        try:
            query.flush(now_ms())
        except EvaluationError as error:
            # Such as two series that became the same: every watcher is told by its snapshot.
            logger.info("%s: %s", query.expression.text, error)
            query.begin_anew()
        except Exception:
            logger.exception("%s could not be evaluated", query.expression.text)
            query.begin_anew()
        took_s = time.monotonic() - began_s
        rest_s = max(settings.TICK_MS / 1000, took_s / FLUSH_SHARE)
        if query.ring.epoch != epoch:
            rest_s = min(ANEW_MOST_REST_S, max(ANEW_REST_S, query.read_s / ANEW_READ_SHARE))
        self._due_s[query] = now_s + rest_s
