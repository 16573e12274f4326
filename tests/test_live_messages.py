"""What a live socket does not take: each refusal names what was wrong, and few end the socket."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from dashboard import connection as connections
from dashboard import consumers, protocol
from dashboard.socket import LiveSocket
from tests.live_support import LiveClient
from tests.site_support import Site, publish, site

__all__ = ["site"]  # a fixture


async def refused(client: LiveClient, message: protocol.ClientMessage | str) -> protocol.Error:
    await client.say(message)
    return await client.get(protocol.Error)


class TestRefusals:
    async def test_a_binary_frame_is_1003(self, site: Site) -> None:
        async with site.reading() as client:
            await client.say(b'{"type":"watch_metrics","id":1}')
            assert await client.goodbye() == (1003, "binary frames are not taken: send JSON text")

    @pytest.mark.parametrize(
        ("message", "sentence"),
        [
            ("{", "not a JSON message"),
            ('{"type":"subscribe"}', "type: invalid value 'subscribe'"),
            ('{"type":"watch","id":1}', "missing required field expr"),
            ('{"type":"unwatch","id":"1"}', "id: expected int"),
            (
                '{"type":"watch","id":1,"expr":"x","range_ms":1000,"step_ms":1}',
                "step_ms: expected int >= 10",
            ),
            (
                '{"type":"hello","token":"pb_' + "x" * 43 + '"}',
                "hello comes once",
            ),
        ],
    )
    async def test_a_bad_message_is_explained_and_the_socket_goes_on(
        self, site: Site, message: str, sentence: str
    ) -> None:
        async with site.reading() as client:
            error = await refused(client, message)
            assert error.code == "bad_message" and error.id is None
            assert sentence in error.message
            await client.say(protocol.WatchEvents(1))
            await client.get(protocol.Events)

    async def test_who_sends_nothing_but_nonsense_is_sent_away(self, site: Site) -> None:
        async with site.reading() as client:
            for _ in range(consumers.BAD_MESSAGES):
                await client.say("nonsense")
            code, reason = await client.goodbye()
            assert code == 4400 and "not a JSON message" in reason

    @pytest.mark.parametrize(
        ("expr", "named"),
        [
            ("topk(3, x)", "topk"),
            ("x offset 5m", "offset"),
            ("x + y", "+"),
            ("histogram_quantile(0.9, x)", "histogram_quantile"),
            ("rate(x)", "rate"),
            ("rate(x[5m]", ""),
            ('{__name__=~".*"}', ""),
            ("", ""),
        ],
    )
    async def test_an_expression_that_is_not_supported_is_named(
        self, site: Site, expr: str, named: str
    ) -> None:
        async with site.reading() as client:
            id = await client.watch(expr)
            error = await client.get(protocol.Error)
            assert (error.id, error.code) == (id, "bad_expression")
            assert named in error.message and len(error.message) > 10

    async def test_too_many_watches_are_refused_until_one_ends(
        self, site: Site, settings: Any
    ) -> None:
        settings.WATCHES_PER_CONNECTION = 2
        async with site.reading() as client:
            first = await client.watch("x")
            await client.watch("y")
            third = await client.watch("z")
            error = await client.get(protocol.Error)
            assert (error.id, error.code) == (third, "too_many_watches")
            await client.say(protocol.Unwatch(first))
            fourth = await client.watch("z")
            await client.get(protocol.Snapshot, fourth)

    async def test_an_id_is_used_once_at_a_time(self, site: Site) -> None:
        async with site.reading() as client:
            await client.say(protocol.WatchEvents(7))
            error = await refused(client, protocol.WatchMetrics(7))
            assert error.code == "bad_message" and "watch 7 exists" in error.message
            await client.say(protocol.Unwatch(7))
            await client.say(protocol.Unwatch(7))
            await client.say(protocol.WatchMetrics(7))
            await client.get(protocol.Metrics, 7)

    async def test_too_many_points_and_series_are_refused(self, site: Site, settings: Any) -> None:
        settings.SERIES_PER_QUERY = 2
        for region in ("eu", "us", "asia"):
            await publish("x", 1.0, region=region)
        async with site.reading() as client:
            await client.watch("x", range_ms=86_400_000, step_ms=1000)
            error = await client.get(protocol.Error)
            assert error.code == "too_many_series" and "3 series" in error.message
            await client.watch("y", range_ms=86_400_000, step_ms=1000)
            error = await client.get(protocol.Error)
            assert error.code == "too_many_points" and "86,401 points" in error.message

    async def test_a_watch_that_was_refused_leaves_its_id_free(self, site: Site) -> None:
        async with site.reading() as client:
            await client.say(protocol.Watch(3, "topk(x)", 60_000, 1000))
            await client.get(protocol.Error, 3)
            await client.say(protocol.Watch(3, "x", 60_000, 1000))
            await client.get(protocol.Snapshot, 3)

    async def test_a_client_that_asks_and_never_reads_the_answers_is_sent_away(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections, "CONTROL_FRAMES", 3)
        monkeypatch.setattr(LiveSocket, "may_write", lambda self: False)
        async with site.opened_by(await site.person()) as client:
            for id in range(1, 9):
                await client.say(protocol.Watch(id, "topk(x)", 60_000, 1000))
            code, reason = await client.goodbye()
            assert code == 1008 and "read them" in reason

    async def test_a_mistake_of_ours_is_1011_and_in_the_log(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with site.reading() as client, site.opened_by(await site.person()) as other:
            with monkeypatch.context() as patched, caplog.at_level(logging.ERROR):
                patched.setattr(consumers, "watch_for", lambda *_: 1 / 0)
                await client.watch("x")
                code, reason = await client.goodbye()
            assert code == 1011 and "server's log" in reason and "Zero" not in reason
            assert "ZeroDivisionError" in caplog.text
            await other.watch("x")
            await other.get(protocol.Snapshot)  # others are not touched

    async def test_a_mistake_while_connecting_is_1011_too(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fails(scope: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(consumers, "by_session", fails)
        async with site.opened_by(await site.person()) as client:
            assert (await client.goodbye())[0] == 1011
