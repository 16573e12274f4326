"""Which tabs of a browser may share one live connection: those that get the same name from here.

The tabs of one session share a socket through a SharedWorker (static/js/live/tabs.js), and none
ever sees what another session's socket brings: the name is a hash of the session. It changes with
the scripts too, so that a page which came after an upgrade does not talk to a worker from before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

NAME_CHARACTERS = 32

Seen = tuple[str, int, int]  # a file's path, time of change in ns, bytes


def group_of(request: HttpRequest) -> str:
    """The name of this session's tabs; it does not tell the session's key.

    Empty: none share, by SHARE_SOCKETS, or since a script was just taken away.
    """
    if not settings.SHARE_SOCKETS:
        return ""
    key = request.session.session_key or ""
    try:
        text = f"{key} {_scripts(tuple(_seen()))}"
    except OSError:
        return ""
    return salted_hmac("dashboard.tabs", text, algorithm="sha256").hexdigest()[:NAME_CHARACTERS]


def _seen() -> Iterator[Seen]:
    """The scripts that tabs and worker are made of, as they are now: files may be edited under a
    running server."""
    folder = Path(settings.STATICFILES_DIRS[0]) / "js"
    for path in (folder / "protocol.js", *sorted((folder / "live").glob("*.js"))):
        found = path.stat()
        yield str(path), found.st_mtime_ns, found.st_size


@lru_cache(maxsize=1)
def _scripts(seen: tuple[Seen, ...]) -> str:
    """A hash of what they hold: the same in every process of a site."""
    found = hashlib.sha256()
    for path, *_ in seen:
        found.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return found.hexdigest()
