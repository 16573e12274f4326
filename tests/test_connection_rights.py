"""A right to watch goes while a connection has something to send: nothing more of it is sent."""

from __future__ import annotations

import asyncio

import pytest

from dashboard import protocol
from dashboard.connection import CONTROL_FRAMES
from dashboard.frames import Form, Frame
from dashboard.ring import Ring
from dashboard.watch import Watch
from tests.test_connection import a_client, form, quiet, snapshot, update, watch

__all__ = ["form"]  # a fixture


async def test_of_what_waits_for_a_slow_reader_nothing_is_sent(form: Form) -> None:
    mine, theirs = Ring(), Ring()
    async with a_client(form) as client:
        for id, ring in ((1, mine), (2, theirs)):
            client.connection.add(watch(id, ring, ring.cursor))
        client.stop_reading()
        for _ in range(3):
            update(mine)
            update(theirs)
        await quiet()
        assert client.connection.forbid(client.connection.watches[2], "not shared with you")
        client.read_on()
        await quiet()
        update(theirs)
        update(mine)
        await quiet()
        of_theirs = [one for one in client.frames if getattr(one, "id", 0) == 2]
        assert of_theirs == [protocol.Error("forbidden", "not shared with you", 2)]
        assert client.told()[-1] == "Update 1:4"


@pytest.mark.parametrize("drawn", [False, True])
async def test_a_snapshot_that_is_made_or_waits_is_dropped(form: Form, drawn: bool) -> None:
    hold, ended = asyncio.Event(), asyncio.Event()

    async def picture() -> Frame:
        await hold.wait()
        return snapshot()

    async with a_client(form) as client:
        client.stop_reading()
        client.connection.say(protocol.encode(protocol.Heartbeat(1)))
        await quiet()
        slow = Watch(1, picture, None, on_end=ended.set)
        client.connection.add(slow)
        await quiet()
        if drawn:
            hold.set()
            await quiet()
        client.connection.forbid(slow, "not shared with you")
        hold.set()
        client.read_on()
        await quiet()
        assert client.told() == ["Heartbeat ", "Error 1"]
        assert ended.is_set()


async def test_who_reads_nothing_cannot_be_told(form: Form) -> None:
    async with a_client(form) as client:
        for _ in range(CONTROL_FRAMES):
            client.connection.say(protocol.encode(protocol.Heartbeat(1)))
        ring = Ring()
        client.connection.add(watch(1, ring, ring.cursor))
        assert not client.connection.forbid(client.connection.watches[1], "not shared with you")
        assert not client.connection.watches
