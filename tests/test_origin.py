"""The exact Origin check, without a network: ports, proxies and what only looks alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import origin
from dashboard.origin import OriginCheck

Header = tuple[bytes, bytes]


class Door:
    """The check before an application that notes whom it let in."""

    def __init__(self, *headers: Header, scheme: str = "ws", extensions: bool = True) -> None:
        self.let_in: dict[str, Any] | None = None
        self.sent: list[dict[str, Any]] = []
        known: dict[str, Any] = {"websocket.http.response": {}} if extensions else {}
        self.scope = {
            "type": "websocket", "scheme": scheme, "headers": list(headers), "extensions": known,
        }  # fmt: skip

    async def open(self) -> bool:
        async def app(scope: dict[str, Any], receive: object, send: object) -> None:
            self.let_in = scope

        async def send(message: dict[str, Any]) -> None:
            self.sent.append(message)

        await OriginCheck(app)(self.scope, None, send)
        return self.let_in is not None


def headers(host: str, page: str) -> tuple[Header, Header]:
    return (b"host", host.encode()), (b"origin", page.encode())


@pytest.fixture(autouse=True)
def _hosts(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["metrics.example", "[::1]", ".wild.example"]


@pytest.mark.parametrize(
    ("host", "page", "scheme", "fits"),
    [
        ("metrics.example", "https://metrics.example", "ws", False),
        ("metrics.example", "http://metrics.example", "wss", False),
        ("metrics.example:8443", "https://metrics.example", "wss", False),
        ("metrics.example", "https://metrics.example:8443", "wss", False),
        ("other.example", "http://other.example", "ws", False),
        ("wild.example", "http://evil.wild.example", "ws", False),
        ("metrics.example", "http://metrics.example", "ws", True),
        ("metrics.example:80", "http://metrics.example", "ws", True),
        ("metrics.example", "http://metrics.example:80", "ws", True),
        ("metrics.example", "https://metrics.example:443", "wss", True),
        ("METRICS.example", "http://metrics.EXAMPLE", "ws", True),
        ("[::1]", "http://[::1]", "ws", True),
        ("[::1]:8000", "http://[::1]:8000", "ws", True),
        ("[::1]:8000", "http://[::1]", "ws", False),
        ("a.wild.example", "http://a.wild.example", "ws", True),
    ],
)
async def test_scheme_host_and_port_are_those_of_the_page(
    host: str, page: str, scheme: str, fits: bool
) -> None:
    assert await Door(*headers(host, page), scheme=scheme).open() is fits


async def test_two_origins_or_two_hosts_are_refused() -> None:
    host, page = headers("metrics.example", "http://metrics.example")
    assert not await Door(host, page, page).open()
    assert not await Door(host, host, page).open()
    assert not await Door(page).open()


async def test_a_proxys_word_counts_only_when_the_settings_say_so(settings: Any) -> None:
    host, page = headers("metrics.example", "https://metrics.example")
    proxied = (b"x-forwarded-proto", b"https")
    assert not await Door(host, page, proxied).open()
    settings.BEHIND_TLS_PROXY = True
    assert await Door(host, page, proxied).open()
    assert not await Door(host, page).open()
    assert not await Door(host, page, proxied, proxied).open()


async def test_without_an_origin_the_application_is_told_that_it_is_no_browser() -> None:
    door = Door((b"host", b"metrics.example"))
    assert await door.open()
    assert door.let_in is not None and door.let_in["origin"] is None


async def test_a_server_that_cannot_answer_with_a_page_closes_with_a_code() -> None:
    door = Door(*headers("metrics.example", "http://evil.example"), extensions=False)
    assert not await door.open()
    assert door.sent == [{"type": "websocket.close", "code": 4403}]


@given(st.text(alphabet="htps:/.metricsxample@#?\\[]0123456789 \t\u2028%", max_size=40))
def test_whatever_is_sent_as_origin_is_read_or_refused(text: str) -> None:
    found = origin.parse(text)
    if found is not None:
        scheme, host, port = found
        assert scheme in ("http", "https") and host and 0 <= port <= 65535
        assert not set(text) & set("@#? \t")
