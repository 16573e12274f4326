"""Which database the tests run on: SQLite, or with `pytest --database postgresql` PostgreSQL.

On PostgreSQL the tests of pages, sockets, commands, browsers and so on run as they do on SQLite;
each product they start has a database of its own. Left out is what the run on SQLite covers: what
touches no database, and what has the fixture `store`, which brings both databases by itself.

With `pytest -n` one PostgreSQL serves all workers: whoever distributes the tests starts it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.environment import ROOT

if TYPE_CHECKING:
    from tests.support.postgres import Databases

RUNNING = pytest.StashKey["Databases"]()
TOLD = "postgresql_url"  # what a worker is told
USES_DATABASE = {"db", "transactional_db", "new_server", "new_database"}
BRINGS_BOTH = {"store", "postgres"}
UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h, which scripts/test.sh knows
EMPTY = "DO $$ BEGIN {} END $$"
MIGRATED = "pulseboard_migrated"


def add_option(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=("sqlite", "postgresql"),
        default="sqlite",
        help="which database the tests that use one run on",
    )


def start(config: pytest.Config, required: bool) -> None:
    """Starts the PostgreSQL that was asked for, before Django reads its settings.

    Where it cannot run this ends the run with a sentence, and with the status EX_UNAVAILABLE
    unless it is required.
    """
    if config.getoption("database") == "sqlite":
        return
    try:
        from tests.support.postgres import Databases, Postgres

        told = getattr(config, "workerinput", {})
        server = Databases(told[TOLD]) if TOLD in told else Postgres()
    except Exception as error:
        status = pytest.ExitCode.TESTS_FAILED if required else UNAVAILABLE
        pytest.exit(f"PostgreSQL cannot run here: {error}", status)
    config.stash[RUNNING] = server
    os.environ["DATABASE_URL"] = server.new_database()
    os.environ.pop("TEST_DATABASE_FILE")
    if TOLD not in told:
        _migrate(server.new_database(name=MIGRATED))


def tell_worker(config: pytest.Config, told: MutableMapping[str, Any]) -> None:
    """Lets a worker use the PostgreSQL of this run, by its `workerinput`."""
    if server := running(config):
        told[TOLD] = server.server_url


def empty_quickly() -> None:
    """Emptying 25 tables of PostgreSQL takes a few milliseconds instead of a hundred.

    Django truncates, which makes new files for every table and index, and nearly all tables are
    empty anyway.
    """
    from django.db.backends.postgresql.operations import DatabaseOperations

    def sql_flush(
        operations: DatabaseOperations, style: object, tables: Sequence[str], **_: object
    ) -> list[str]:
        deletions = (f"DELETE FROM {operations.quote_name(table)};" for table in tables)
        return [EMPTY.format(" ".join(deletions))] if tables else []

    DatabaseOperations.sql_flush = sql_flush  # type: ignore[assignment, method-assign]


def end_connections(config: pytest.Config) -> None:
    """Ends what threads of the tests left open: PostgreSQL drops no database that is in use."""
    if not running(config):
        return
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def stop(config: pytest.Config) -> None:
    """Ends that PostgreSQL, if it was started here."""
    if server := running(config):
        server.stop()


def running(config: pytest.Config) -> Databases | None:
    """The PostgreSQL that the tests run on, if they do."""
    return config.stash.get(RUNNING, None)


def for_products(config: pytest.Config) -> Callable[..., str] | None:
    """Gives the URL of a new database; with all tables, in half the time that making them takes."""
    server = running(config)
    if server is None:
        return None

    def new_database(migrated: bool = True) -> str:
        return server.new_database(template=MIGRATED) if migrated else server.new_database()

    return new_database


def _migrate(url: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        check=True,
    )


def choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is not for this run, and skips what is about SQLite alone."""
    if not running(config):
        return
    left_out = [item for item in items if not _is_for_postgresql(item)]
    items[:] = [item for item in items if _is_for_postgresql(item)]
    config.hook.pytest_deselected(items=left_out)
    for item in items:
        if mark := item.get_closest_marker("sqlite"):
            item.add_marker(pytest.mark.skip(reason=f"about SQLite alone: {mark.args[0]}"))


def _is_for_postgresql(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    if fixtures & BRINGS_BOTH:
        return False
    marked = any(item.get_closest_marker(mark) for mark in ("django_db", "database"))
    return marked or bool(fixtures & USES_DATABASE)
