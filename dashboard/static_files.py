"""Serves static files before Django sees the request: no middleware, no thread."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from servestatic import ServeStaticASGI
from servestatic.asgi import FileServerASGI

from dashboard.headers import secured

# Looking a path up takes time for each of its parts; no file of ours lies so deep.
LONGEST_PATH_CHARACTERS = 512
IMAGES_KEPT_S = 86_400


class StaticFiles:
    """The apps' and our own static files under STATIC_URL; everything else goes to `app`.

    No collectstatic: a file is looked up when it is asked for, so one that was edited, or came
    with an upgrade, is served as it is now. Browsers ask again each time (ETag, mostly answered
    by 304), so an upgrade never leaves an old script with a new page. Images they keep for a day:
    Chromium asks for the icon at every change of the address, also when the page stays.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._files = _Files(
            app,
            max_age=0,
            autorefresh=True,
            add_headers_function=_headers,
            allow_all_origins=False,
        )
        prefix = settings.STATIC_URL.strip("/")
        # Of two files with one name the one that Django finds first counts; here, the last added.
        for folder in reversed(_folders()):
            self._files.add_files(folder, prefix=prefix)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"]
        if path.startswith(settings.STATIC_URL) and len(path) <= LONGEST_PATH_CHARACTERS:
            await self._files(scope, receive, secured(scope, send))  # type: ignore[arg-type]
        else:
            await self._app(scope, receive, send)


class _Files(ServeStaticASGI):
    """Looks files up in the event loop: cheaper than a hop to the threads, where writers queue."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        found = self.find_file(scope["path"])
        answer = self.application if found is None else FileServerASGI(found)
        await answer(scope, receive, send)


def _folders() -> list[str]:
    """Where static files lie, in the order in which Django looks for them."""
    storages = {
        storage.location: None for finder in get_finders() for _, storage in finder.list([])
    }
    return list(storages)


def _headers(headers: Any, path: str, url: str) -> None:
    with suppress(OSError):  # gone since it was found: the caller notices
        found = os.stat(path)
        # Finer than seconds, so that two quick edits of one length are two versions.
        headers["ETag"] = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    if url.startswith(f"{settings.STATIC_URL}img/"):
        headers["Cache-Control"] = f"max-age={IMAGES_KEPT_S}, public"
