"""Reads settings from environment variables; a wrong value stops the start with a sentence."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

WILDCARD_HOSTS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, never bound


class Environment:
    """Typed access to a mapping of environment variables.

    Every method raises ImproperlyConfigured with one sentence that names the variable,
    what it holds and what is expected.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str) -> str:
        return self._variables.get(name, "").strip() or default

    def number(self, name: str, default: int, least: int, most: int) -> int:
        raw = self.text(name, str(default))
        if not raw.lstrip("-").isdigit() or not least <= int(raw) <= most:
            raise ImproperlyConfigured(
                f"{name}={raw!r} is not understood: expected a whole number from {least} to {most}."
            )
        return int(raw)

    def flag(self, name: str, default: bool) -> bool:
        raw = self.text(name, "1" if default else "0").lower()
        if raw in ("1", "true", "yes", "on"):
            return True
        if raw in ("0", "false", "no", "off"):
            return False
        raise ImproperlyConfigured(f"{name}={raw!r} is not understood: expected 1 or 0.")

    @staticmethod
    def check(condition: bool, sentence: str) -> None:
        """Raises ImproperlyConfigured with the sentence unless the condition holds."""
        if not condition:
            raise ImproperlyConfigured(sentence)

    def listing(self, name: str, default: list[str]) -> list[str]:
        raw = self.text(name, "")
        return [part.strip() for part in raw.split(",") if part.strip()] or default

    def origins(self, name: str) -> list[str]:
        """Exact origins, such as https://metrics.example.org or http://10.0.0.5:8000."""
        found = self.listing(name, [])
        for origin in found:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path:
                raise ImproperlyConfigured(
                    f"{name}: {origin!r} is not an origin: expected scheme, host and, where it is "
                    "not the default, port, such as https://metrics.example.org."
                )
        return found

    def redis(self, name: str) -> list[dict[str, Any]]:
        """The hosts of a channel layer over Redis or Valkey; none when the variable is not set."""
        raw = self.text(name, "")
        if not raw:
            return []
        from dashboard import redis_url

        try:
            return redis_url.read(raw)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} {error}.") from None

    def folder(self, name: str, default: Path) -> Path:
        return Path(self.text(name, str(default))).expanduser().resolve()

    def database(self, name: str, folder: Path) -> dict[str, Any]:
        """A Django DATABASES entry from a URL; SQLite in `folder` when the variable is not set."""
        raw = self.text(name, "")
        if not raw:
            return sqlite(folder / "pulseboard.sqlite3")
        url = urlsplit(raw)
        if url.scheme == "sqlite":
            return sqlite(Path(unquote(url.path)))
        if url.scheme in ("postgres", "postgresql"):
            return postgresql(raw)
        raise ImproperlyConfigured(
            f"{name} begins with {url.scheme!r}: expected postgresql://user:password@host/name "
            "or sqlite:////absolute/path."
        )


def sqlite(path: Path) -> dict[str, Any]:
    """SQLite in WAL mode; `synchronous=FULL` makes every commit survive a power cut.

    `secure_delete=FAST` leaves free pages as they are, where the library's default may be to write
    zeros over them, which makes deleting many times slower. `auto_vacuum` is not set here but once,
    by a migration: each connection would have to wait for the database to write it.
    """
    return {
        "ENGINE": "metrics.sqlite3",
        "NAME": str(path),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 10,  # seconds
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; "
                "PRAGMA mmap_size=134217728; PRAGMA cache_size=-20000; "
                "PRAGMA journal_size_limit=67108864; PRAGMA secure_delete=FAST;"
            ),
        },
    }


def postgresql(raw: str) -> dict[str, Any]:
    """PostgreSQL from postgresql://user:password@host:port/name?option=value."""
    url = urlsplit(raw)
    options = dict(part.split("=", 1) for part in url.query.split("&") if "=" in part)
    options = {key: unquote(value) for key, value in options.items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(url.path.lstrip("/")),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": options.pop("host", unquote(url.hostname or "")),
        "PORT": str(url.port or ""),
        "CONN_MAX_AGE": 60,  # seconds
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


def own_names(host: str) -> list[str]:
    """The host names a browser may use for us when ALLOWED_HOSTS is not set."""
    names = ["localhost", "127.0.0.1", "[::1]"]
    if host in WILDCARD_HOSTS:
        import psutil

        addresses = [a.address for found in psutil.net_if_addrs().values() for a in found]
        names += [a for a in addresses if a.count(".") == 3] + [socket.gethostname().lower()]
    else:
        names.append(f"[{host}]" if ":" in host else host)
    return sorted(set(names))
