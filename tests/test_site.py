"""The whole application over HTTP: what lies beside Django's pages."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from email.message import Message

import pytest

from tests.site_support import Site, site

__all__ = ["site"]  # a fixture


async def ask(site: Site, path: str, method: str = "GET", **headers: str) -> tuple[int, Message]:
    """Status and headers of an answer."""
    request = urllib.request.Request(site.origin + path, None, headers, method=method)

    def answer() -> tuple[int, Message]:
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.headers
        except urllib.error.HTTPError as error:
            return error.code, error.headers

    return await asyncio.to_thread(answer)


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/nothing.js",
        "/static/../manage.py",
        "/static/%2e%2e/manage.py",
        "/static/js/..%2f..%2fmanage.py",
        "/static//js/protocol.js",
        "/static/js/protocol.js/",
        "/static/js/protocol.js%00",
        "/static/%ff",
    ],
)
async def test_nothing_but_static_files_is_served_as_one(site: Site, path: str) -> None:
    assert (await ask(site, path))[0] == 404


async def test_our_own_files_and_those_of_the_admin_are_served(site: Site) -> None:
    for path, kind in (
        ("/static/js/protocol.js", "text/javascript"),
        ("/static/admin/css/base.css", "text/css"),
    ):
        status, headers = await ask(site, path)
        assert status == 200 and headers.get_content_type() == kind
        status, _ = await ask(site, path, **{"If-None-Match": headers["ETag"]})
        assert status == 304
        status, head = await ask(site, path, "HEAD")
        assert status == 200 and head["Content-Length"] == headers["Content-Length"]
        assert headers["X-Content-Type-Options"] == "nosniff"
