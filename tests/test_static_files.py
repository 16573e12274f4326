"""Static files over real HTTP: what is refused, what a change brings, what is asked for again."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.test.signals import static_finders_changed
from django.test.utils import override_settings

from dashboard.headers import HEADERS
from dashboard.static_files import StaticFiles
from tests.socket_support import Message, Receive, Running, Send, answer, serving

SECRET = b"not for everybody"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    """A running site whose static files lie in `files`; whatever else is asked for is a 404."""

    files: Path
    running: Running

    async def get(self, path: str, *lines: str, method: str = "GET") -> Answer:
        request = [f"{method} {path} HTTP/1.1", "Host: site.example", "Connection: close", *lines]
        async with await self.running.dial() as peer:
            await peer.send("\r\n".join([*request, "", ""]).encode())
            head, _, body = (await peer.everything()).partition(b"\r\n\r\n")
        status, *fields = head.decode().split("\r\n")
        pairs = [field.split(": ", 1) for field in fields]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), "no header is given twice"
        return Answer(int(status.split()[1]), headers, body)


async def nowhere(scope: Message, receive: Receive, send: Send) -> None:
    await answer(send, 404, b"nothing here")


@pytest.fixture
def files(folder: Path) -> Iterator[Path]:
    """The site's only folder of static files, beside files that are nobody's business."""
    files = folder / "static"
    (files / "img").mkdir(parents=True)
    (files / "page.js").write_text("export const version = 1;\n")
    (files / "img" / "icon.svg").write_text("<svg/>")
    (folder / "own").mkdir()
    for secret in (folder / "secret.txt", folder / "own" / "secret.txt"):
        secret.write_bytes(SECRET)
    (files / "way_out").symlink_to(folder / "own")
    finders = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    with override_settings(STATICFILES_DIRS=[files], STATICFILES_FINDERS=finders):
        yield files
    static_finders_changed(setting="STATICFILES_DIRS")


@pytest.fixture
async def site(files: Path) -> AsyncIterator[Site]:
    async with serving(StaticFiles(nowhere)) as running:
        yield Site(files, running)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../secret.txt",
        "/static/..%2fsecret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/img/../../secret.txt",
        "/static/..%5csecret.txt",
        "/static/way_out/secret.txt",
        "/static/way_out",
        "/static//page.js",
        "/static/page.js%00",
        "/static/page.js/",
        "/static/img",
        "/static/",
        "/static/" + "../" * 10_000,
        "/static/" + "x/" * 10_000,
        "/static/" + "x" * 300,
    ],
    ids=lambda path: path[:40],
)
async def test_only_the_files_of_the_folder_are_there(site: Site, path: str) -> None:
    found = await site.get(path)
    assert (found.status, found.body) == (404, b"nothing here")


async def test_the_folder_itself_does_not_lead_out(site: Site) -> None:
    found = await site.get(f"/static/{site.files.parent / 'secret.txt'}")
    assert (found.status, found.body) == (404, b"nothing here")


async def test_files_are_only_read(site: Site) -> None:
    found = await site.get("/static/page.js", "Content-Length: 0", method="POST")
    assert found.status == 405
    assert_secure(found)


async def test_an_unchanged_file_is_not_sent_twice(site: Site) -> None:
    first = await site.get("/static/page.js")
    assert (first.status, first.body) == (200, b"export const version = 1;\n")
    assert first.headers["content-type"].startswith("text/javascript")
    assert first.headers["cache-control"] == "max-age=0, public"
    again = await site.get("/static/page.js", f"If-None-Match: {first.headers['etag']}")
    assert (again.status, again.body) == (304, b"")
    assert again.headers["cache-control"] == "max-age=0, public"


@pytest.mark.parametrize(
    "text", ["export const version = 2; // and more\n", "short", "export const version = 2;\n", ""]
)
async def test_a_file_edited_under_a_running_server_is_served_as_it_is_now(
    site: Site, text: str
) -> None:
    before = await site.get("/static/page.js")
    found = os.stat(site.files / "page.js")
    (site.files / "page.js").write_text(text)
    # Within the same second, as the clocks of some file systems have it.
    os.utime(site.files / "page.js", ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    after = await site.get("/static/page.js", f"If-None-Match: {before.headers['etag']}")
    assert (after.status, after.body.decode()) == (200, text)
    assert after.headers["content-length"] == str(len(text))


async def test_files_come_and_go_under_a_running_server(site: Site) -> None:
    assert (await site.get("/static/new.js")).status == 404
    (site.files / "new.js").write_text("1;")
    assert (await site.get("/static/new.js")).body == b"1;"
    (site.files / "new.js").unlink()
    assert (await site.get("/static/new.js")).status == 404


async def test_images_are_kept_so_that_a_change_of_the_address_asks_for_none(site: Site) -> None:
    found = await site.get("/static/img/icon.svg")
    assert (found.status, found.body) == (200, b"<svg/>")
    assert found.headers["cache-control"] == "max-age=86400, public"


@pytest.mark.parametrize("path", ["/static/page.js", "/static/img/icon.svg", "/static/gone.js"])
async def test_static_files_have_the_security_headers(site: Site, path: str) -> None:
    found = await site.get(path)
    assert_secure(found)
    if found.status == 200:
        assert_secure(await site.get(path, f"If-None-Match: {found.headers['etag']}"))


def assert_secure(found: Answer) -> None:
    expected = {name.lower(): value for name, value in HEADERS.items() if name != "Cache-Control"}
    assert found.headers.items() >= expected.items()
    policy = found.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "connect-src 'self' ws://site.example;" in policy
