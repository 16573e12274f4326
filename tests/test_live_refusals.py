"""Who may not open a live socket, or not any longer, and what is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from websockets.exceptions import InvalidStatus

from dashboard import members, protocol
from tests.live_support import live
from tests.site_support import Site, site

__all__ = ["site"]  # a fixture

FOREIGN_ORIGINS = (
    "http://evil.example",
    "https://127.0.0.1:{port}",
    "ws://127.0.0.1:{port}",
    "http://127.0.0.1",
    "http://127.0.0.1:{other_port}",
    "http://127.0.0.1:{port}0",
    "http://localhost:{port}",
    "http://[::1]:{port}",
    "http://2130706433:{port}",
    "http://sub.127.0.0.1:{port}",
    "http://evil127.0.0.1:{port}",
    "http://127.0.0.1.evil.example:{port}",
    "http://127.0.0.1.:{port}",
    "http://127.0.0.1:{port}.evil.example",
    "http://127.0.0.1:{port}@evil.example",
    "http://evil.example@127.0.0.1:{port}",
    "http://evil.example#@127.0.0.1:{port}",
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/page",
    "http://127.0.0.1:{port}?",
    "http://127.0.0.1:{port} http://evil.example",
    "http://127.0.0.1:{port}\\.evil.example",
    "127.0.0.1:{port}",
    "//127.0.0.1:{port}",
    "file://",
    "null",
    "*",
    "",
)


async def refused(site: Site, origin: str, **options: Any) -> str:
    """The sentence with which a handshake from this origin is refused."""
    origin = origin.format(port=site.running.port, other_port=site.running.port % 65535 + 1)
    with pytest.raises(InvalidStatus) as answer:
        async with live(site.url, origin=origin, **options):
            raise AssertionError("it was let in")
    assert answer.value.response.status_code == 403
    return (answer.value.response.body or b"").decode()


class TestForeignPages:
    @pytest.mark.parametrize("hosts", [None, ["*"]], ids=["own hosts", "any host"])
    async def test_a_page_from_elsewhere_is_refused_with_a_sentence(
        self, site: Site, settings: Any, hosts: list[str] | None
    ) -> None:
        settings.ALLOWED_HOSTS = hosts or settings.ALLOWED_HOSTS
        for origin in FOREIGN_ORIGINS:
            assert "may not open a socket here" in await refused(site, origin), origin

    async def test_neither_a_cookie_nor_a_token_makes_up_for_it(self, site: Site) -> None:
        person = await site.person()
        assert await refused(site, "http://evil.example", cookie=person.cookie)
        assert await refused(site, "http://evil.example", token=await site.token())

    async def test_a_host_that_is_not_ours_is_no_origin(self, site: Site, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["metrics.example"]
        assert await refused(site, site.origin)

    @pytest.mark.parametrize("spelling", [str, str.upper, str.title])
    async def test_our_own_page_is_let_in(self, site: Site, spelling: Callable[[str], str]) -> None:
        person = await site.person()
        async with site.opened_by(person, origin=spelling(site.origin)) as client:
            assert isinstance(await client.hear(), protocol.Welcome)

    async def test_an_origin_named_in_the_settings_is_let_in_exactly(
        self, site: Site, settings: Any
    ) -> None:
        settings.ORIGINS = ["https://metrics.example.org"]
        person = await site.person()
        async with site.opened_by(person, origin="https://metrics.example.org") as client:
            assert isinstance(await client.hear(), protocol.Welcome)
        assert await refused(site, "http://metrics.example.org")
        assert await refused(site, "https://metrics.example.org:8443")


class TestStrangers:
    async def test_a_cookie_without_an_origin_is_nobody(self, site: Site) -> None:
        """No browser sends that: a program must show a token."""
        person = await site.person()
        async with live(site.url, cookie=person.cookie) as client:
            await client.say(protocol.WatchMetrics(1))
            assert await client.goodbye() == (4401, "sign in, or send hello with a token first")

    async def test_who_says_nothing_is_sent_away(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(protocol, "HELLO_TIMEOUT_S", 0.05)
        async with live(site.url) as client:
            assert await client.goodbye() == (4401, "sign in, or send hello with a token first")

    async def test_a_session_that_ended_is_nobody(self, site: Site) -> None:
        person = await site.person()
        cookie = person.cookie
        await sync_to_async(person.browser.logout)()
        async with live(site.url, cookie=cookie, origin=site.origin) as client:
            await client.say(protocol.WatchMetrics(1))
            assert (await client.goodbye())[0] == 4401

    @pytest.mark.parametrize(
        ("token", "sentence"),
        [("", "not a token"), ("pb_short", "not a token"), (f"pb_{'x' * 43}", "not known here")],
    )
    async def test_a_wrong_token_is_refused(self, site: Site, token: str, sentence: str) -> None:
        async with live(site.url) as client:
            await client.say(protocol.Hello(token))
            code, reason = await client.goodbye()
        assert code == 4401 and sentence in reason

    async def test_a_token_for_publishing_does_not_read(self, site: Site) -> None:
        async with live(site.url) as client:
            await client.say(protocol.Hello(await site.token("publish")))
            code, reason = await client.goodbye()
        assert code == 4403 and "expected one for scope read" in reason

    async def test_nonsense_before_hello_ends_it_at_once(self, site: Site) -> None:
        async with live(site.url) as client:
            await client.say("hello?")
            assert (await client.goodbye())[0] == 4400

    async def test_of_one_address_only_so_many_may_be_silent(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(members, "EXPECTED_PER_ADDRESS", 2)
        token = await site.token()
        async with live(site.url), live(site.url, token=token), live(site.url) as third:
            async with live(site.url) as fourth:
                code, reason = await fourth.goodbye()
            assert code == 4429 and "come back" in reason
            await third.hello(token)
            async with live(site.url) as fifth:
                await fifth.hello(token)

    async def test_one_person_may_open_only_so_many(self, site: Site, settings: Any) -> None:
        settings.CONNECTIONS_PER_USER = 2
        ann, bob = await site.person("ann"), await site.person("bob")
        async with site.opened_by(ann) as one, site.opened_by(ann) as two:
            for each in (one, two):  # one that is not let in yet might be the third
                assert isinstance(await each.hear(), protocol.Welcome)
            async with site.opened_by(ann) as third:
                code, reason = await third.goodbye()
            assert code == 4429 and "at most 2 sockets" in reason
            async with site.opened_by(bob) as other:
                assert isinstance(await other.hear(), protocol.Welcome)
            await one.socket.close()
            async with site.opened_by(ann) as again:
                assert isinstance(await again.hear(), protocol.Welcome)

    async def test_a_full_server_says_so(self, site: Site, settings: Any) -> None:
        settings.CONNECTIONS = 0
        async with site.opened_by(await site.person()) as client:
            code, reason = await client.goodbye()
        assert code == 4429 and "come back in 30 s" in reason


class TestWrongDoors:
    @pytest.mark.parametrize("offered", [(), ("chat",), ("pulseboard.v2", "soap")])
    async def test_an_unknown_subprotocol_is_refused_with_the_one_that_is_known(
        self, site: Site, offered: tuple[str, ...]
    ) -> None:
        async with live(site.url, subprotocols=offered) as client:
            assert await client.goodbye() == (
                4403,
                "unknown subprotocol: expected pulseboard.v1, pulseboard.v1.json",
            )

    async def test_ours_is_chosen_among_others(self, site: Site) -> None:
        async with live(site.url, subprotocols=["chat", "pulseboard.v1.json"]) as client:
            assert client.socket.subprotocol == "pulseboard.v1.json"

    @pytest.mark.parametrize("path", ["", "live", "live/x/", "ws/", "live//"])
    async def test_an_unknown_path_is_4404(self, site: Site, path: str) -> None:
        async with live(f"ws://127.0.0.1:{site.running.port}/{path}") as client:
            assert await client.goodbye() == (4404, "there is no socket here: it is at /live/")

    async def test_a_browser_that_asks_for_the_address_gets_a_page(self, site: Site) -> None:
        person = await site.person()
        answer = await sync_to_async(person.browser.get)("/live/")
        assert answer.status_code in (200, 426)
        assert "WebSocket" in answer.text
