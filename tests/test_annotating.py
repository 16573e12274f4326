"""What people put on the charts: who may, what is taken, and that "stored" means stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission

from dashboard import annotating, protocol
from dashboard.annotating import NO_RIGHT, NO_TOKENS
from dashboard.protocol import Annotate
from metrics import intake
from metrics.clock import now_ms
from metrics.models import Event
from metrics.refused import Refused
from tests.fallback_support import ask, events, page_headers, refused
from tests.live_support import LiveClient
from tests.site_support import Person, Site, site

__all__ = ["site"]  # a fixture


async def annotator(site: Site, name: str = "ann") -> Person:
    """Somebody who may."""
    person = await site.person(name)
    await sync_to_async(person.user.user_permissions.set)([await right()])
    return person


async def right() -> Permission:
    return await Permission.objects.aget(codename="add_event", content_type__app_label="metrics")


@asynccontextmanager
async def allowed(site: Site) -> AsyncIterator[LiveClient]:
    async with site.opened_by(await annotator(site)) as client:
        yield client


async def told(client: LiveClient, asked: Annotate) -> protocol.Stored | protocol.Error:
    """The answer to this annotation."""
    await client.say(asked)
    while True:
        frame = await client.hear()
        if isinstance(frame, protocol.Stored | protocol.Error) and frame.ref == asked.ref:
            return frame


async def stored() -> list[tuple[str, dict[str, str]]]:
    return [(event.title, event.labels) async for event in Event.objects.order_by("id")]


class TestRefusals:
    async def test_who_may_only_watch_is_told_what_it_takes(self, site: Site) -> None:
        async with site.opened_by(await site.person()) as client:
            answer = await told(client, Annotate("r1", "deployed"))
            assert answer == protocol.Error("forbidden", NO_RIGHT, ref="r1")
            await client.say(protocol.WatchEvents(1))
            assert (await client.get(protocol.Events)).events == []
        assert await stored() == []

    async def test_a_token_that_reads_is_told_where_to_publish(self, site: Site) -> None:
        async with site.reading() as client:
            answer = await told(client, Annotate("r1", "deployed"))
            assert answer == protocol.Error("forbidden", NO_TOKENS, ref="r1")
        assert await stored() == []

    async def test_a_right_that_was_taken_away_counts_from_the_next_message(
        self, site: Site
    ) -> None:
        ann = await annotator(site)
        async with site.opened_by(ann) as client:
            assert await told(client, Annotate("r1", "first")) == protocol.Stored("r1")
            await sync_to_async(ann.user.user_permissions.clear)()
            answer = await told(client, Annotate("r2", "second"))
            assert isinstance(answer, protocol.Error) and answer.code == "forbidden"
            await sync_to_async(ann.user.user_permissions.set)([await right()])
            assert await told(client, Annotate("r3", "third")) == protocol.Stored("r3")
        assert [title for title, _ in await stored()] == ["first", "third"]

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"title": ""}, "title: is empty"),
            ({"title": "x" * 201}, "title: 201 characters: at most 200"),
            ({"title": "a\0b"}, "title: holds the control character U+0000"),
            ({"title": "two\nlines"}, "title: holds the control character U+000A"),
            ({"text": "x" * 10_001}, "text: 10,001 characters: at most 10,000"),
            ({"text": "\0"}, "text: holds the control character U+0000"),
            ({"time": 1_790_000_000}, "time: 1790000000: expected milliseconds since 1970"),
            ({"time": 2**63}, "time: 9223372036854775808 lies more than 10 minutes ahead"),
            ({"labels": {"no-name": "x"}}, "labels.no-name: 'no-name' is not a label name"),
            ({"labels": {"app": "\0"}}, "labels.app: holds the control character U+0000"),
            ({"labels": {"author": "somebody else"}}, "labels.author: is the server's to set"),
            ({"labels": {f"l{i}": "" for i in range(30)}}, "labels: 31 labels"),
        ],
        ids=str,
    )
    async def test_what_cannot_be_stored_is_named_with_its_place(
        self, site: Site, fields: dict[str, Any], sentence: str
    ) -> None:
        async with allowed(site) as client:
            answer = await told(client, Annotate(**{"ref": "r1", "title": "deployed", **fields}))
            assert isinstance(answer, protocol.Error) and answer.code == "bad_message"
            assert answer.message.startswith(sentence)
            assert await told(client, Annotate("r1", "deployed")) == protocol.Stored("r1")
        assert len(await stored()) == 1

    @pytest.mark.parametrize(
        ("message", "sentence"),
        [
            ('{"type":"annotate","ref":"r1"}', "missing required field title"),
            ('{"type":"annotate","ref":"","title":"x"}', "ref: expected str matching"),
            ('{"type":"annotate","ref":"r 1","title":"x"}', "ref: expected str matching"),
            ('{"type":"annotate","ref":"r1","title":"x","time":"now"}', "time: expected int"),
            ('{"type":"annotate","ref":"r1","title":"x","author":"eve"}', "unknown field author"),
        ],
    )
    async def test_what_is_no_annotation_is_explained(
        self, site: Site, message: str, sentence: str
    ) -> None:
        async with allowed(site) as client:
            await client.say(message)
            error = await client.get(protocol.Error)
            assert error.code == "bad_message" and sentence in error.message
        assert await stored() == []

    async def test_a_flood_ends_the_socket_as_any_flood_does(self, site: Site) -> None:
        async with site.opened_by(await site.person()) as client:
            for number in range(300):
                await client.say(Annotate(f"r{number}", "x"))
            code, _ = await client.goodbye()
            assert code == 4429

    async def test_more_at_once_than_may_wait_for_the_disk_are_asked_to_come_again(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(annotating, "AT_ONCE", 1)
        disk = Disk(monkeypatch)
        async with allowed(site) as client:
            await client.say(Annotate("r1", "first"))
            answer = await told(client, Annotate("r2", "second"))
            assert isinstance(answer, protocol.Error) and answer.code == "rate_limited"
            disk.goes_on.set()
            assert (await client.get(protocol.Stored)).ref == "r1"
            assert await told(client, Annotate("r2", "second")) == protocol.Stored("r2")

    async def test_a_database_that_does_not_answer_is_said_with_the_way_to_go_on(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: object, **__: object) -> None:
            raise Refused(503, "", "the database does not answer: the same Idempotency-Key")

        monkeypatch.setattr(intake, "aaccept_events", fail)
        async with allowed(site) as client:
            answer = await told(client, Annotate("r1", "deployed"))
            sentence = "the database does not answer: the same ref"
            assert answer == protocol.Error("internal", sentence, ref="r1")


class Disk:
    """Nothing is stored before it goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.goes_on = asyncio.Event()
        accept = intake.aaccept_events

        async def wait(*args: Any, **options: Any) -> Any:
            await self.goes_on.wait()
            return await accept(*args, **options)

        monkeypatch.setattr(intake, "aaccept_events", wait)


class TestStoring:
    async def test_it_is_stored_when_it_is_answered(self, site: Site) -> None:
        at_ms = now_ms() - 3_600_000
        asked = Annotate("r1", "deployed", "two\nlines", at_ms, {"app": "shop"})
        async with allowed(site) as client:
            assert await told(client, asked) == protocol.Stored("r1")
            event = await Event.objects.aget()
        assert (event.title, event.text, event.time_ms) == ("deployed", "two\nlines", at_ms)
        assert event.labels == {"app": "shop", "author": "ann"}

    async def test_a_connection_goes_on_while_one_is_stored(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk = Disk(monkeypatch)
        async with allowed(site) as client:
            await client.say(Annotate("r1", "deployed"))
            await client.say(protocol.WatchMetrics(1))
            await client.get(protocol.Metrics, 1)
            disk.goes_on.set()
            assert await client.get(protocol.Stored) == protocol.Stored("r1")

    async def test_everybody_who_watches_sees_it_with_its_author(self, site: Site) -> None:
        bob = await site.person("bob")
        async with allowed(site) as client, site.opened_by(bob) as other:
            for watcher in (client, other):
                await watcher.say(protocol.WatchEvents(1))
                await watcher.get(protocol.Events)
            await client.say(Annotate("r1", "deployed"))
            for watcher in (client, other):
                (event,) = (await watcher.get(protocol.Events)).events
                assert (event.title, event.labels) == ("deployed", {"author": "ann"})

    async def test_the_same_after_a_break_is_stored_once(self, site: Site) -> None:
        ann = await annotator(site)
        asked = Annotate("r1", "deployed")
        async with site.opened_by(ann) as client:
            assert await told(client, asked) == protocol.Stored("r1")
        async with site.opened_by(ann) as client:
            assert await told(client, asked) == protocol.Stored("r1", replayed=True)
            answer = await told(client, Annotate("r1", "something else"))
            assert isinstance(answer, protocol.Error) and answer.code == "bad_message"
            assert answer.message.startswith("ref: was used before")
        assert len(await stored()) == 1

    async def test_the_same_on_two_sockets_at_once_is_stored_once(self, site: Site) -> None:
        ann = await annotator(site)
        asked = Annotate("r1", "deployed")
        async with site.opened_by(ann) as one, site.opened_by(ann) as two:
            answers = await asyncio.gather(told(one, asked), told(two, asked))
        assert sorted(answer.replayed for answer in answers) == [False, True]  # type: ignore[union-attr]
        assert len(await stored()) == 1

    async def test_a_ref_is_each_persons_own(self, site: Site) -> None:
        for name in ("ann", "bob"):
            async with site.opened_by(await annotator(site, name)) as client:
                assert await told(client, Annotate("r1", "deployed")) == protocol.Stored("r1")
        assert [labels for _, labels in await stored()] == [{"author": "ann"}, {"author": "bob"}]

    async def test_who_leaves_before_the_answer_has_annotated_all_the_same(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk = Disk(monkeypatch)
        ann = await annotator(site)
        async with site.opened_by(ann) as client:
            await client.say(Annotate("r1", "deployed"))
            await client.say(protocol.WatchMetrics(1))
            await client.get(protocol.Metrics, 1)
        disk.goes_on.set()
        async with site.opened_by(ann) as client:
            assert await told(client, Annotate("r1", "deployed")) in (
                protocol.Stored("r1"),
                protocol.Stored("r1", replayed=True),
            )
        assert len(await stored()) == 1


class TestWithoutSocket:
    async def test_nobody_and_no_page_of_another_site(self, site: Site) -> None:
        ann = await annotator(site)
        asked = Annotate("r1", "deployed")
        assert refused(await ask(site, "/live/annotate", asked), 401, "sign in")
        of_page = page_headers(site, ann)
        without = {name: of_page[name] for name in of_page if name != "X-Pulseboard"}
        for headers, status in (
            (without, 401),
            ({**of_page, "Origin": "http://evil.example"}, 403),
            ({**of_page, "Sec-Fetch-Site": "cross-site"}, 403),
        ):
            answer = await ask(site, "/live/annotate", asked, headers=headers)
            assert answer.status == status
        assert await stored() == []

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            (b"{", "not a JSON message"),
            (b'{"type":"annotate","ref":"r1"}', "missing required field title"),
            (b'{"type":"watch_metrics","id":1}', "expected an annotate frame"),
        ],
    )
    async def test_what_is_no_annotation(self, site: Site, body: bytes, sentence: str) -> None:
        ann = await annotator(site)
        assert refused(await ask(site, "/live/annotate", body, ann), 400, sentence)

    async def test_a_get(self, site: Site) -> None:
        answer = await ask(site, "/live/annotate", b"", await annotator(site), method="GET")
        assert answer.status == 405 and answer.headers["allow"] == "POST"

    async def test_a_viewer_and_a_token_are_refused_as_on_a_socket(self, site: Site) -> None:
        for who in (await site.person(), await site.token()):
            (answer,) = (await ask(site, "/live/annotate", Annotate("r1", "x"), who)).frames
            assert isinstance(answer, protocol.Error)
            assert (answer.code, answer.ref) == ("forbidden", "r1")

    async def test_a_stream_says_where_it_is_taken(self, site: Site) -> None:
        async with events(site, await annotator(site)) as stream:
            assert (await stream.say(Annotate("r1", "deployed"))).status == 200
            error = await stream.get(protocol.Error)
            assert error.ref == "r1" and "/live/annotate" in error.message

    async def test_it_is_stored_once_and_shown_to_everybody(self, site: Site) -> None:
        ann = await annotator(site)
        async with site.opened_by(ann) as client:
            await client.say(protocol.WatchEvents(1))
            await client.get(protocol.Events)
            asked = Annotate("r1", "deployed")
            assert (await ask(site, "/live/annotate", asked, ann)).frames == [protocol.Stored("r1")]
            again = await ask(site, "/live/annotate", asked, ann)
            assert again.frames == [protocol.Stored("r1", replayed=True)]
            (event,) = (await client.get(protocol.Events)).events
        assert await stored() == [("deployed", {"author": "ann"})]
        assert event.labels == {"author": "ann"}
