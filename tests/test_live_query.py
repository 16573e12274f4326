"""What the clients of a live query show, whatever happens in whatever order."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import live_query, pictures
from dashboard import ring as rings
from tests.live_world import LOOKBACK_MS, World

EXPRESSIONS = (
    "x",
    'x{a="1"}',
    '{__name__=~".+"}',
    "rate(x[5s])",
    "increase(x[2s])",
    "sum(x)",
    "sum by (a) (rate(x[4s]))",
    "count without (a) (x)",
    "max(x)",
    "rate(x[60s])",  # wider than the head
)

samples = st.lists(
    st.tuples(
        st.integers(1, 6),
        st.one_of(
            st.just(0),
            st.integers(-900, 0),
            st.integers(-20_000, 3_000),
            st.integers(-90_000, -20_000),
        ),
        st.integers(0, 1000).map(float),
    ),
    min_size=1,
    max_size=5,
)
steps = st.one_of(
    st.tuples(st.just("publish"), samples),
    st.tuples(st.just("publish"), samples),
    st.tuples(st.just("wait"), st.sampled_from([40, 400, 1000, 1000, 1000, 7000, 45_000])),
    st.tuples(st.just("flush"), st.none()),
    st.tuples(st.just("join"), st.sampled_from([1000, 5000, 25_000, 100_000])),
    st.tuples(st.just("leave"), st.integers(0, 3)),
    st.tuples(st.just("return"), st.integers(0, 3)),
    st.tuples(st.just("read log"), st.none()),
    st.tuples(st.just("expire"), st.none()),
    st.tuples(st.just("forget"), st.sampled_from([5_000, 15_000])),
    st.tuples(st.just("settle"), st.none()),
)


async def act(world: World, deed: str, detail: Any) -> None:
    watchers = world.watchers
    if deed == "publish":
        world.publish(detail)
    elif deed == "wait":
        world.now_ms += detail
    elif deed == "flush":
        world.flush()
    elif deed == "join" and len(watchers) < 4:
        world.join(detail)
    elif deed in ("leave", "return") and detail < len(watchers):
        watchers[detail].here = deed == "return"
    elif deed == "read log":
        world.threads.work()
    elif deed == "expire":
        world.head.expire(world.now_ms)
    elif deed == "forget":  # as a head that has become too large does
        world.head.since_ms = max(world.head.since_ms, world.now_ms - detail)
    elif deed == "settle":
        await world.settle()
        world.check()
    for watcher in watchers:
        watcher.read()
    await world.run()


def play(expr: str, step_ms: int, deeds: list[tuple[str, Any]]) -> World:
    async def everything() -> World:
        world = World(expr, step_ms, head_ms=30_000)
        world.join(20_000)
        for deed, detail in deeds:
            await act(world, deed, detail)
        for watcher in world.watchers:
            watcher.here = True
        await world.settle()
        world.check()
        return world

    with (
        override_settings(LOOKBACK_SECONDS=LOOKBACK_MS // 1000),
        patch.object(pictures, "HEAD_MARGIN_MS", 3_000),
        patch.object(pictures, "LOOP_VALUES", 40),
        patch.object(rings, "RING_ENTRIES", 6),
        patch.object(live_query, "MOST_VALUES", 300),
    ):
        return asyncio.run(everything())


@settings(max_examples=250, deadline=None)
@given(
    expr=st.sampled_from(EXPRESSIONS),
    step_ms=st.sampled_from([200, 1000, 1500]),
    deeds=st.lists(steps, max_size=25),
)
def test_every_client_shows_what_a_fresh_evaluation_shows(
    expr: str, step_ms: int, deeds: list[tuple[str, Any]]
) -> None:
    play(expr, step_ms, deeds)
