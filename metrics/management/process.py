"""What commands have in common: a database that may fail, and signals that end them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from metrics.refused import NO_TABLES, has_no_tables


def check_migrated() -> None:
    """Raises CommandError when tables are missing; a busy database is not asked further."""
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except OperationalError as error:
        if "locked" in str(error):
            return
        raise CommandError(f"The database cannot be used: {error}.") from error
    if missing:
        raise CommandError("The database is not migrated: run python manage.py migrate first.")


@contextmanager
def database_in_words(so: str = "") -> Iterator[None]:
    """Raises CommandError where the database fails; `so` is a sentence on what that means."""
    try:
        yield
    except DatabaseError as error:
        if has_no_tables(error):
            raise CommandError(f"{NO_TABLES[0].upper()}{NO_TABLES[1:]}.") from None
        raise CommandError(f"The database says: {str(error).strip()}. {so}".strip()) from error


@contextmanager
def set_by_signals(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set `stop`, so that a commit under way is finished first."""
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
