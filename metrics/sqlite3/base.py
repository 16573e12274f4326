"""Django's SQLite backend, with another way to wait for the one writer's lock.

SQLite's own waits longer and longer between two looks, up to 100 ms. While jobs hold the lock most
of the time, a few milliseconds each, it sleeps through the moments in which it is free: publishers
then wait for a second behind jobs that nobody else would notice, and who signs in gives up.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

LOOK_S = 0.001  # how often it is looked whether the lock is free
TAKES_THE_LOCK = ("BEGIN", "INSERT", "UPDATE", "DELETE")  # outside of a transaction

Patiently = Callable[[Callable[[], object]], None]


class DatabaseWrapper(base.DatabaseWrapper):
    """As Django's, but that what takes the lock has it within a millisecond of when it can."""

    def create_cursor(self, name: str | None = None) -> Cursor:
        cursor: Cursor = self.connection.cursor(factory=partial(Cursor, patiently=self.patiently))
        return cursor

    def patiently(self, begin: Callable[[], object]) -> None:
        """Calls what takes the lock first of all, again while another has it.

        Raises OperationalError ("database is locked") after the option `timeout`.
        """
        patience_s: float = self.settings_dict["OPTIONS"].get("timeout", 5.0)
        until_s = time.monotonic() + patience_s
        self.ensure_connection()
        # Straight to the driver, without Django's cursors: each transaction comes by here.
        self.connection.execute("PRAGMA busy_timeout=0")
        try:
            while not _done(begin, until_s):
                time.sleep(LOOK_S)
        finally:
            self.connection.execute(f"PRAGMA busy_timeout={round(patience_s * 1000)}")


class Cursor(base.SQLiteCursorWrapper):
    """The driver's cursor, patient where a statement begins a transaction, or is one by itself."""

    def __init__(self, connection: sqlite3.Connection, patiently: Patiently) -> None:
        super().__init__(connection)
        self._patiently = patiently

    def execute(self, query: str, params: Any = None) -> Any:
        execute = super().execute
        if self.connection.in_transaction or not query.startswith(TAKES_THE_LOCK):
            return execute(query, params)
        self._patiently(lambda: execute(query, params))
        return self


def _done(begin: Callable[[], object], until_s: float) -> bool:
    try:
        begin()
    except (OperationalError, sqlite3.OperationalError) as error:
        cause = error.__cause__ if isinstance(error, OperationalError) else error
        code = getattr(cause, "sqlite_errorcode", 0)  # its low byte: whatever kind
        if code & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until_s:
            raise
        return False
    return True
