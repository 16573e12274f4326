"""Channel groups: what Django code sends, and how the hub listens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import get_channel_layer
from django.db import transaction

from dashboard import group, layers, protocol
from dashboard.hub import Hub
from metrics import intake
from metrics.models import Event
from tests.hub_support import hub
from tests.live_support import read
from tests.support.waiting import aeventually

__all__ = ["hub"]  # a fixture

database = pytest.mark.django_db(transaction=True)


async def titles(hub: Hub) -> list[str]:
    frame = read(hub.events.picture(100).text(1))
    assert isinstance(frame, protocol.Events)
    return [event.title for event in frame.events]


@database
class TestGroup:
    @pytest.mark.parametrize(
        ("message", "sentence"),
        [
            ({"type": "chat", "title": "x"}, 'takes messages of type "event"'),
            ({"type": "event"}, "title"),
            ({"type": "event", "title": 5}, "title"),
            ({"type": "event", "title": "x", "labels": {"a": 1}}, "labels"),
            ({"type": "event", "title": " "}, "is empty"),
        ],
    )
    async def test_a_message_that_is_no_event_is_refused_where_it_is_sent(
        self, message: dict[str, Any], sentence: str
    ) -> None:
        layer: Any = get_channel_layer()
        with pytest.raises((ValueError, intake.Refused), match=sentence):
            await layer.group_send(layers.EVENTS_GROUP, message)
        assert not await Event.objects.aexists()

    async def test_an_event_sent_to_the_group_is_stored_and_shown(self, hub: Hub) -> None:
        layer: Any = get_channel_layer()
        message = {"type": "event", "title": "deployed", "text": "1.2", "labels": {"app": "shop"}}
        await layer.group_send("pulseboard.events", message)
        await aeventually(lambda: hub.events.ring.seq == 1)
        assert await titles(hub) == ["deployed"]
        assert await Event.objects.acount() == 1

    async def test_an_event_sent_in_a_transaction_lives_and_dies_with_it(self, hub: Hub) -> None:
        def job() -> None:
            layer: Any = get_channel_layer()
            send = async_to_sync(layer.group_send)
            try:
                with transaction.atomic():
                    send("pulseboard.events", {"type": "event", "title": "never"})
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass
            with transaction.atomic():
                send("pulseboard.events", {"type": "event", "title": "committed"})

        await sync_to_async(job, thread_sensitive=False)()
        await aeventually(lambda: hub.events.ring.seq == 1)
        assert await titles(hub) == ["committed"]

    async def test_a_ring_in_the_group_makes_the_hub_look_at_the_log(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        woken = asyncio.Event()
        assert hub._tail is not None
        monkeypatch.setattr(hub._tail, "wake", woken.set)
        layer: Any = get_channel_layer()

        async def rung() -> bool:
            await layer.group_send(layers.BELL_GROUP, {"type": "bell"})
            return woken.is_set()

        await aeventually(rung)

    async def test_a_layer_that_fails_is_tried_again(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(group, "RETRY_S", (0.0, 0.0))
        layer: Any = get_channel_layer()
        failures: list[int] = []

        async def refused(*_: object) -> str:
            failures.append(1)
            if len(failures) < 3:
                raise ConnectionError("refused")
            return "specific.inmemory!x"

        monkeypatch.setattr(layer, "new_channel", refused)
        hub._run(hub._group.follow())
        await aeventually(lambda: len(failures) == 3)
        assert "the channel layer does not answer (refused)" in caplog.text

    async def test_a_commit_of_this_process_rings_for_the_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rings: list[tuple[str, dict[str, Any]]] = []

        class Heard(layers.RedisLayer):
            async def group_send(self, group: str, message: dict[str, Any]) -> None:
                rings.append((group, message))

        monkeypatch.setattr(group, "get_channel_layer", lambda: Heard.__new__(Heard))
        members = group.Group(lambda: None)
        sending = asyncio.create_task(members.send())
        for _ in range(3):
            members.ring()
        await aeventually(lambda: bool(rings))
        sending.cancel()
        (sent,) = rings
        assert sent[0] == "pulseboard.bell"
        assert sent[1].keys() == {"type", "from"}, "no rights have changed"
