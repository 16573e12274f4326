"""A snapshot that was just drawn serves whoever asks for the same, as long as nothing is missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from django.test import override_settings

from dashboard import finished, ring
from dashboard.finished import Finished
from dashboard.frames import Frame
from dashboard.pictures import Pictures
from metrics.query import parse
from tests.live_support import Shown, read
from tests.live_world import BEGAN_MS, LOOKBACK_MS, World, same


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> Iterator[World]:
    with override_settings(LOOKBACK_SECONDS=LOOKBACK_MS // 1000):
        one = World("x", 1000, 30_000)
        one.pictures = Pictures(one.threads, one.stored, clock)
        one.publish([(1, -2000, 1.0)])
        one.flush()
        yield one


def update(world: World, value: float) -> None:
    world.now_ms += 1000
    world.publish([(1, 0, value)])
    world.flush()


async def newest(world: World, range_ms: int = 10_000) -> Frame:
    return await world.pictures.newest(world.query, range_ms)


async def past(world: World, end_ms: int) -> Frame:
    asking = asyncio.create_task(world.pictures.past(parse("x"), 3000, end_ms, 1000))
    while not asking.done():
        await world.run()
        world.threads.work()
    return await asking


async def test_who_asks_a_little_later_gets_the_same_and_then_what_was_missed(
    world: World,
) -> None:
    first = await newest(world)
    for value in (2.0, 3.0, 4.0):
        update(world, value)
    assert await newest(world) is first
    shown = Shown()
    shown.take(read(first.text(1)))
    seq = world.query.ring.position(shown.cursor)
    assert seq is not None
    while (entry := world.query.ring.after(seq)) is not None:
        shown.take(read(entry.text(1)))
        seq = entry.seq
    same(shown.since(shown.oldest_ms), world.evaluated(shown.oldest_ms))


async def test_another_range_is_another_snapshot(world: World) -> None:
    assert await newest(world, 5000) is not await newest(world, 6000)


async def test_after_five_seconds_a_new_one_is_drawn(world: World, clock: Clock) -> None:
    first = await newest(world)
    clock.now_s += 4.9
    assert await newest(world) is first
    clock.now_s += 0.2
    assert await newest(world) is not first


async def test_one_that_lacks_more_than_it_has_is_drawn_anew(world: World) -> None:
    first = await newest(world, 5000)
    for value in range(3):
        update(world, float(value))
    assert await newest(world, 5000) is first
    for value in range(60):
        update(world, float(value))
    assert await newest(world, 5000) is not first


async def test_one_whose_updates_do_not_fit_into_one_is_drawn_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "MERGED_BYTES", 10)
    first = await newest(world)
    update(world, 2.0)
    update(world, 3.0)
    assert await newest(world) is not first


async def test_what_was_read_from_the_log_serves_for_half_a_minute(
    world: World, clock: Clock
) -> None:
    async def from_the_log() -> Frame:
        asking = asyncio.create_task(newest(world, 60_000))
        while not asking.done():
            await world.run()
            world.threads.work()
        return await asking

    first = await from_the_log()
    clock.now_s += 29
    update(world, 2.0)
    assert await from_the_log() is first
    clock.now_s += 2
    assert await from_the_log() is not first


async def test_one_whose_query_began_anew_is_not_used_again(world: World) -> None:
    first = await newest(world)
    world.query.begin_anew()
    assert await newest(world) is not first


async def test_the_past_is_read_once_in_these_seconds(world: World, clock: Clock) -> None:
    first = await past(world, BEGAN_MS)
    assert await past(world, BEGAN_MS) is first
    assert await past(world, BEGAN_MS - 1000) is not first
    clock.now_s += 5.1
    assert await past(world, BEGAN_MS) is not first


async def test_what_could_not_be_drawn_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(world.query, "picture", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await newest(world)
    assert await newest(world) is not None


def a_frame(size: int) -> Frame:
    return Frame('{"id":0,' + "x" * (size - len('"id":,')) + "}", "")


def kept(clock: Clock, sizes: list[int]) -> Finished:
    one = Finished(clock)
    for number, size in enumerate(sizes):
        one.put(number, a_frame(size), 5.0)
    return one


@pytest.mark.parametrize(
    ("limit", "sizes", "left"),
    [
        ("MOST_FRAMES", [10, 10, 10, 10], [2, 3]),
        ("MOST_BYTES", [1000, 600, 500], [2]),
        ("MOST_BYTES", [400, 1100], []),
    ],
)
def test_they_are_bounded_and_the_oldest_go_first(
    limit: str, sizes: list[int], left: list[int], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finished, limit, {"MOST_FRAMES": 2, "MOST_BYTES": 1050}[limit])
    one = kept(clock, sizes)
    assert [number for number in range(len(sizes)) if one.get(number) is not None] == left


def test_the_old_ones_go_though_nobody_asks(clock: Clock) -> None:
    one = kept(clock, [10, 10])
    clock.now_s += 3
    one.put(2, a_frame(10), 5.0)
    clock.now_s += 3
    one.drop_old()
    assert len(one) == 1
    clock.now_s += 3
    one.drop_old()
    assert len(one) == 0 and one._bytes == 0


async def test_they_go_by_themselves(
    world: World, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    called: list[Callable[[], None]] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda _, what: called.append(what), raising=False)
    await newest(world)
    clock.now_s += 5.1
    called[0]()
    assert len(world.pictures._finished) == 0
