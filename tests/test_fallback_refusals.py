"""Who may not watch where no WebSocket can be opened, and what is answered."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from dashboard import protocol
from dashboard.protocol import Close
from tests.fallback_support import (
    ask,
    events,
    page_headers,
    refused,
    watch,
)
from tests.site_support import Site, site

__all__ = ["site"]  # a fixture

PATHS = ("/live/events", "/live/poll")
NOTHING: dict[str, Any] = {"watches": []}

each_path = pytest.mark.parametrize("path", PATHS)


@each_path
class TestWhoIsRefused:
    async def test_nobody(self, site: Site, path: str) -> None:
        answer = await ask(site, path, NOTHING)
        assert refused(answer, 401, "sign in")
        assert answer.json["code"] == Close.UNAUTHENTICATED

    async def test_a_session_that_ended(self, site: Site, path: str) -> None:
        ann = await site.person()
        headers = page_headers(site, ann)
        await sync_to_async(ann.browser.logout)()
        assert refused(await ask(site, path, NOTHING, headers=headers), 401, "sign in")

    @pytest.mark.parametrize(
        "foreign",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "https://127.0.0.1:{port}"},
            {"Origin": "http://localhost:{port}"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ],
        ids=str,
    )
    async def test_a_page_of_another_site(
        self, site: Site, path: str, foreign: dict[str, str]
    ) -> None:
        said = {name: value.format(port=site.running.port) for name, value in foreign.items()}
        for who in (await site.person(), await site.token()):
            answer = await ask(site, path, NOTHING, headers={**page_headers(site, who), **said})
            assert refused(answer, 403, "a page of another site")

    async def test_a_form_of_another_site_that_an_old_browser_sends(
        self, site: Site, path: str
    ) -> None:
        cookie = {"Cookie": (await site.person()).cookie}
        assert refused(await ask(site, path, NOTHING, headers=cookie), 401, "X-Pulseboard")

    @pytest.mark.parametrize(
        ("token", "status", "sentence"),
        [
            ("pb_short", 401, "not a token"),
            (f"pb_{'x' * 43}", 401, "not known here"),
            ("publish", 403, "expected one for scope read"),
        ],
    )
    async def test_a_token_that_does_not_read(
        self, site: Site, path: str, token: str, status: int, sentence: str
    ) -> None:
        plain = await site.token("publish") if token == "publish" else token
        assert refused(await ask(site, path, NOTHING, plain), status, sentence)

    async def test_what_is_no_bearer_token(self, site: Site, path: str) -> None:
        headers = {"Authorization": "Basic cm9vdDpyb290"}
        assert refused(await ask(site, path, NOTHING, headers=headers), 401, "Bearer")

    async def test_one_too_many(self, site: Site, path: str, settings: Any) -> None:
        settings.CONNECTIONS_PER_USER = 1
        token = await site.token()
        async with events(site, token):
            answer = await ask(site, path, {"watches": [watch(1, "x")]}, token)
        assert refused(answer, 429, "at most 1 sockets at once: come back in 30 s")
        assert int(answer.headers["retry-after"]) > 0

    @pytest.mark.parametrize(
        ("question", "sentence"),
        [
            (b"hello?", "watches"),
            (b"[]", "watches"),
            (b'{"watches": 1}', "watches"),
            (b'{"watches": [], "wait_ms": 60000}', "wait_ms"),
            (b'{"watches": [{"type": "watch", "id": 0}]}', "watches[0]: id"),
            (b'{"watches": [{"type": "unwatch", "id": 1}]}', "only watches"),
            (b'{"watches": [], "token": "x"}', "token"),
        ],
    )
    async def test_a_question_that_is_none(
        self, site: Site, path: str, question: bytes, sentence: str
    ) -> None:
        answer = await ask(site, path, question, await site.token())
        assert refused(answer, 400, sentence)

    async def test_a_question_without_end(self, site: Site, path: str) -> None:
        body = b'{"watches": [' + b" " * 600_000 + b"]}"
        assert (await ask(site, path, body, await site.token())).status == 413

    async def test_another_method(self, site: Site, path: str) -> None:
        answer = await ask(site, path, b"", await site.token(), method="DELETE")
        assert refused(answer, 405, "POST")
        assert "POST" in answer.headers["allow"]

    async def test_whoever_comes_while_the_server_goes(
        self, site: Site, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dashboard.server import state

        monkeypatch.setattr(state, "draining", True)
        assert refused(await ask(site, path, NOTHING, await site.token()), 503, "restarting")


class TestFramesThatGoUp:
    async def test_a_stream_nobody_has_is_404_and_says_what_to_do(self, site: Site) -> None:
        answer = await ask(site, "/live/events/xyz", [], await site.token())
        assert refused(answer, 404, "open a new one with your watches, or use /live/poll")

    async def test_somebody_elses_stream_is_nobodys(self, site: Site) -> None:
        ann, token = await site.person(), await site.token()
        async with events(site, ann) as stream:
            for who in (await site.person("bob"), token):
                assert refused(await stream.say(watch(1, "x"), who=who), 404, "no such stream")
            assert (await ask(site, stream.path, [])).status == 401
            headers = {**page_headers(site, ann), "Origin": "http://evil.example"}
            assert refused(await ask(site, stream.path, [], headers=headers), 403, "another site")

    async def test_nonsense_is_400_and_hurts_nobody(self, site: Site) -> None:
        async with events(site, await site.person()) as stream:
            for body in (b"?", b"{}", b'[{"type":"watch"}]', b'["x"]'):
                answer = await ask(site, stream.path, body, stream.who)
                assert refused(answer, 400, "frames"), body
            await stream.say(watch(1, "x"))
            await stream.get(protocol.Snapshot, 1)

    async def test_too_many_frames_are_429(self, site: Site) -> None:
        async with events(site, await site.token()) as stream:
            await stream.say(*[protocol.Unwatch(1)] * 140)
            answer = await stream.say(*[protocol.Unwatch(1)] * 400)
        assert refused(answer, 429, "too many frames")

    async def test_what_cannot_be_watched_is_told_in_the_stream(
        self, site: Site, settings: Any
    ) -> None:
        settings.WATCHES_PER_CONNECTION = 1
        async with events(site, await site.token()) as stream:
            await stream.say(watch(1, "sum("))
            assert (await stream.get(protocol.Error, 1)).code == "bad_expression"
            await stream.say(watch(1, "x"), watch(1, "y"), watch(2, "x"))
            assert "unwatch it first" in (await stream.get(protocol.Error)).message
            assert (await stream.get(protocol.Error, 2)).code == "too_many_watches"
            await stream.say(protocol.Unwatch(1), watch(2, "x"))
            await stream.get(protocol.Snapshot, 2)


async def test_a_plain_get_of_the_sockets_address_says_what_it_is(site: Site) -> None:
    ann = await site.person()
    for headers in ({"Cookie": ann.cookie, "Accept": "text/html"}, {}, {"Accept": "*/*"}):
        answer = await ask(site, "/live/", b"", method="GET", headers=headers)
        assert answer.status == 426 and answer.headers["upgrade"] == "websocket"
        assert "WebSocket" in answer.body.decode()
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_browser_of_nobody_is_sent_to_the_sign_in(site: Site) -> None:
    answer = await ask(site, "/live/", b"", method="GET", headers={"Accept": "text/html,*/*"})
    assert answer.status == 302 and "/signin/" in answer.headers["location"]
