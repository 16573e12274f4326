"""Serves static files before Django sees the request: no middleware, no thread."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from servestatic import ServeStaticASGI


class StaticFiles:
    """The apps' and our own static files under STATIC_URL; everything else goes to `app`.

    No collectstatic: the files are found once, at the start. Browsers ask again each time
    (ETag, mostly answered by 304), so an upgrade never leaves an old script with a new page.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._files = ServeStaticASGI(
            app,
            max_age=0,
            autorefresh=settings.DEBUG,
            add_headers_function=_headers,
            allow_all_origins=False,
        )
        prefix = settings.STATIC_URL.strip("/")
        # Of two files with one name the one that Django finds first counts; here, the last added.
        for folder in reversed(_folders()):
            self._files.add_files(folder, prefix=prefix)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        static = scope["path"].startswith(settings.STATIC_URL)
        await (self._files if static else self._app)(scope, receive, send)


def _folders() -> list[str]:
    """Where static files lie, in the order in which Django looks for them."""
    storages = {
        storage.location: None for finder in get_finders() for _, storage in finder.list([])
    }
    return list(storages)


def _headers(headers: Any, path: str, url: str) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
