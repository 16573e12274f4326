"""What a client that reads slowly is sent, and what it costs."""

from __future__ import annotations

import asyncio
import tracemalloc

from dashboard import protocol
from dashboard import ring as rings
from dashboard.frames import Form
from dashboard.ring import Ring
from tests.test_connection import Client, a_client, form, is_conflated, quiet, update, watch

__all__ = ["form"]  # a fixture


async def test_a_slow_reader_falls_off_the_ring_and_gets_one_snapshot(form: Form) -> None:
    ring = Ring()
    async with a_client(form) as client:
        client.connection.add(watch(1, ring))
        await client.heard(1)
        client.stop_reading()
        for _ in range(10_000):
            update(ring)
            await asyncio.sleep(0)
        client.read_on()
        await client.heard(3)
        update(ring)
        await client.heard(4)
        assert client.told()[1:] == ["Update 1:1", "Snapshot 1:10000", "Update 1:10001"]
        assert [is_conflated(frame) for frame in client.frames] == [False, False, True, False]


async def test_a_slow_reader_gets_what_it_missed_in_one_update(form: Form) -> None:
    ring = Ring()
    async with a_client(form) as client:
        client.connection.add(watch(1, ring))
        await client.heard(1)
        client.stop_reading()
        for _ in range(100):
            update(ring)
            await asyncio.sleep(0)
        client.read_on()
        await client.heard(3)
        update(ring)
        await client.heard(4)
        assert client.told()[1:] == ["Update 1:1", "Update 1:100", "Update 1:101"]
        merged = client.frames[2]
        assert isinstance(merged, protocol.Update)
        assert merged.times == [1000 * number for number in range(2, 101)]
        assert merged.values == [[float(number) for number in range(2, 101)]]
        assert [is_conflated(frame) for frame in client.frames] == [False, False, True, False]


async def test_those_who_missed_the_same_share_one_merged_update() -> None:
    ring = Ring()
    async with a_client() as one, a_client() as another:
        for client in (one, another):
            client.connection.add(watch(1, ring))
            await client.heard(1)
            client.stop_reading()
        for _ in range(3):
            update(ring)
            await quiet()
        for client in (one, another):
            client.read_on()
            await client.heard(3)
        assert one.told() == ["Snapshot 1:0", "Update 1:1", "Update 1:3"]
        assert one.texts[2] is another.texts[2]


async def test_slow_readers_cost_next_to_nothing() -> None:
    """However much passes by them: what they have missed lies in the ring, once for all."""
    ring = Ring()
    clients = [Client() for _ in range(100)]
    writers = [asyncio.create_task(client.sink.write()) for client in clients]
    for client in clients:
        client.connection.add(watch(1, ring))
        client.stop_reading()
    await quiet()
    tracemalloc.start()
    for _ in range(2 * rings.RING_ENTRIES):
        update(ring, size=300)
        await asyncio.sleep(0)
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held_bytes < 2 * rings.RING_BYTES
    for writer in writers:
        writer.cancel()
