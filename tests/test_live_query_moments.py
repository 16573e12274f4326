"""A live query at particular moments: the first sample, silence, a clock put back, a crowd."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from django.test import override_settings

from dashboard import frames, live_query, pictures, protocol
from dashboard.frames import Form
from dashboard.pictures import Pictures
from dashboard.protocol import WatchRefused
from metrics.query import EvaluationError, parse
from tests.live_support import Shown, read
from tests.live_world import BEGAN_MS, LOOKBACK_MS, Watcher, World


@pytest.fixture(autouse=True)
def _short_lookback() -> Iterator[None]:
    with override_settings(LOOKBACK_SECONDS=LOOKBACK_MS // 1000):
        yield


async def a_world(expr: str = "x", step_ms: int = 1000, head_ms: int = 30_000) -> World:
    return World(expr, step_ms, head_ms)


async def joined(world: World, range_ms: int = 10_000) -> Watcher:
    watcher = world.join(range_ms)
    await world.settle()
    return watcher


def values(watcher: Watcher) -> dict[int, float]:
    """The only line's values, by ms from the beginning."""
    (row,) = watcher.shown.values
    return {time_ms - BEGAN_MS: value for time_ms, value in row.items()}


async def test_a_sample_is_shown_at_once_and_not_when_its_step_is_over() -> None:
    world = await a_world()
    watcher = await joined(world)
    world.now_ms += 100
    world.publish([(1, 0, 7.0)])
    world.flush()
    watcher.read()
    assert values(watcher) == {1000: 7.0}


async def test_a_sample_ahead_of_the_clock_is_shown_when_its_time_comes() -> None:
    world = await a_world()
    watcher = await joined(world)
    world.publish([(1, 2500, 7.0)])
    await world.settle()
    assert watcher.shown.values == []
    world.now_ms += 3600
    await world.settle()
    assert values(watcher) == {3000: 7.0}


async def test_time_passes_without_samples_until_the_value_is_too_old() -> None:
    world = await a_world()
    watcher = await joined(world)
    world.publish([(1, 0, 7.0)])
    for _ in range(8):
        world.now_ms += 1000
        world.flush()
        watcher.read()
    assert values(watcher) == dict.fromkeys(range(0, 5000, 1000), 7.0)


async def test_lasting_silence_costs_no_frames() -> None:
    world = await a_world()
    watcher = await joined(world)
    world.publish([(1, 0, 7.0)])
    for _ in range(20):
        world.now_ms += 1000
        world.flush()
    seq = world.query.ring.seq
    for _ in range(20):
        world.now_ms += 1000
        world.flush()
    assert world.query.ring.seq == seq
    assert world.query.newest_ms == BEGAN_MS + 39_000
    world.publish([(1, 0, 8.0)])
    await world.settle()
    world.check()
    assert values(watcher)[40_000] == 8.0


async def test_a_line_that_only_a_longer_range_shows_is_announced_to_everybody() -> None:
    world = await a_world()
    world.publish([(1, -20_000, 1.0), (3, 0, 3.0)])
    near = await joined(world, 2000)
    far = await joined(world, 25_000)
    assert len(near.shown.labels) == 2, "announced, without values"
    world.now_ms += 1000
    world.publish([(1, 0, 2.0), (3, 0, 4.0)])
    await world.settle()
    world.check()
    assert len(far.shown.labels) == 2
    assert near.shown.snapshots == 1, "no snapshot was needed"


async def test_a_query_wider_than_the_head_moves_on_all_the_same() -> None:
    world = await a_world("increase(x[60s])")
    watcher = await joined(world)
    for value in range(5):
        world.now_ms += 1000
        world.publish([(1, 0, float(value))])
        await world.settle()
        world.check()
    assert max(values(watcher)) == 5000


async def test_a_very_large_correction_becomes_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_query, "MOST_VALUES", 10)
    world = await a_world()
    world.publish([(1, -25_000, 1.0), (1, -1000, 1.0)])
    watcher = await joined(world, 5000)
    world.publish([(1, -20_000, 2.0)])
    await world.settle()
    world.check()
    assert watcher.shown.snapshots == 2
    assert len(watcher.shown.values[0]) <= 6


@pytest.mark.parametrize("jump_ms", [3_600_000, 86_400_000, 400 * 86_400_000])
async def test_a_clock_that_jumps_and_is_put_back_neither_stops_nor_floods(jump_ms: int) -> None:
    world = await a_world()
    watcher = await joined(world)
    world.publish([(1, 0, 1.0)])
    world.now_ms += jump_ms
    world.publish([(1, 0, 2.0)])
    world.flush()
    world.now_ms -= jump_ms - 1000
    watcher.shown = Shown()  # what was shown of the future is gone
    world.publish([(1, 0, 3.0)])
    await world.settle()
    world.check()
    assert watcher.shown.newest_ms == BEGAN_MS
    assert len(watcher.shown.values[0]) < 20


async def test_series_that_become_too_many_end_the_watch() -> None:
    world = await a_world()
    watcher = await joined(world)
    world.publish([(1 + 2 * number, 0, 1.0) for number in range(101)])
    assert len(world.query.ids) == 100
    assert world.query.ring.position(watcher.shown.cursor) is None
    with pytest.raises(WatchRefused, match="picks more than 100 series") as refused:
        await world.pictures.newest(world.query, 10_000)
    assert refused.value.code == "too_many_series"
    world.now_ms += 10_000
    assert not world.query.needs_flush(world.now_ms)


async def test_metrics_that_cannot_be_told_apart_are_explained_by_the_snapshot() -> None:
    world = await a_world('rate({a="1"}[5s])')
    world.publish([(2, -2000, 1.0), (3, -2000, 1.0), (2, -1000, 2.0), (3, -1000, 2.0)])
    with pytest.raises(EvaluationError, match="several metrics with the same labels"):
        await world.pictures.newest(world.query, 10_000)


# -- snapshots -----------------------------------------------------------------------------------


async def test_a_snapshot_asked_for_by_many_is_drawn_once_and_is_one_text() -> None:
    world = await a_world()
    world.publish([(1, -60_000, 1.0)])
    asking = [asyncio.create_task(world.pictures.newest(world.query, 60_000)) for _ in range(10)]
    await world.run()
    assert len(world.threads._waiting) == 1
    world.threads.work()
    world.threads.work()
    frames = await asyncio.gather(*asking)
    assert all(frame.text(4) is frames[0].text(4) for frame in frames)


async def test_what_nobody_waits_for_any_more_is_not_read() -> None:
    world = await a_world()
    asking = [asyncio.create_task(world.pictures.newest(world.query, 60_000)) for _ in range(2)]
    await world.run()
    asking[0].cancel()
    await world.run()
    world.threads.work()
    assert len(world.threads._done) == 1, "the other one waits still"

    world = await a_world()
    task = asyncio.create_task(world.pictures.newest(world.query, 60_000))
    await world.run()
    task.cancel()
    again = asyncio.create_task(world.pictures.newest(world.query, 60_000))
    await world.run()
    world.threads.work()
    world.threads.work()
    assert isinstance(read((await again).text(1)), protocol.Snapshot)


async def test_too_many_points_are_refused_before_anything_is_read() -> None:
    world = await a_world(step_ms=10)
    with pytest.raises(WatchRefused, match="11,001 points a series: at most 11,000"):
        await world.pictures.newest(world.query, 110_000)
    with pytest.raises(WatchRefused, match="ask for a shorter range or a longer step"):
        await world.pictures.past(parse("x"), 86_400_000, BEGAN_MS, 1000)
    assert not world.threads._waiting


async def test_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_VALUES", 20)
    world = await a_world()
    world.publish([(1, -4000, 1.0), (3, -4000, 1.0)])
    with pytest.raises(WatchRefused, match="2 series of 11 points: at most 20 values fit"):
        await world.pictures.newest(world.query, 10_000)


async def test_a_snapshot_of_the_past_ends_where_it_was_asked_to() -> None:
    world = await a_world()
    world.publish([(1, -60_000, 1.0), (1, -58_000, 2.0)])
    end_ms = BEGAN_MS - 57_500
    asking = asyncio.create_task(world.pictures.past(parse("x"), 3000, end_ms, 1000))
    await world.run()
    world.threads.work()
    world.threads.work()
    shown = Shown()
    shown.take(read((await asking).text(1)))
    assert {t - BEGAN_MS: v for t, v in shown.values[0].items()} == {
        -60_000: 1.0, -59_000: 1.0, -58_000: 2.0,
    }  # fmt: skip
    assert shown.cursor == ""


@pytest.mark.parametrize("form", [Form.JSON, Form.BINARY])
async def test_a_large_snapshot_is_encoded_on_a_thread_as_a_small_one_at_once(
    form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await a_world()
    world.publish([(1, -4000, 1.5), (3, -3000, 0.25)])
    small = await Pictures(world.threads).newest(world.query, 10_000)
    expected = small.made(1, form)
    small.forget()
    monkeypatch.setattr(frames, "SMALL_VALUES", 0)
    await asyncio.gather(*(small.prepare(form) for _ in range(3)))
    assert small.made(1, form) == expected
