"""Other databases than the default one: connecting, looking at one moment, what is in there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model

from metrics.moving import tables
from metrics.moving.trouble import CannotMove

Config = dict[str, Any]


def own_config() -> Config:
    """How this site's database is connected to."""
    return deepcopy(dict(connections[DEFAULT_DB_ALIAS].settings_dict))


def file_config(path: Path) -> Config:
    """A SQLite file that is thrown away when something goes wrong, so written without a journal."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {"init_command": "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"},
    }


def read_only_config(path: Path) -> Config:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{path.absolute().as_uri()}?mode=ro",
    }


def described(config: Config) -> str:
    """For people: which database that is, without its password."""
    if config["ENGINE"].endswith("sqlite3"):
        return f"SQLite {config['NAME']}"
    host = config.get("HOST") or "the local socket"
    return f"PostgreSQL {config['NAME']} at {host}"


@contextmanager
def connected(alias: str, config: Config) -> Iterator[str]:
    """A database under `alias` while the block runs. Raises CannotMove when it does not answer."""
    filled = connections.configure_settings({DEFAULT_DB_ALIAS: deepcopy(config)})
    connections.settings[alias] = filled[DEFAULT_DB_ALIAS]
    try:
        try:
            connections[alias].ensure_connection()
        except DatabaseError as error:
            reason = str(error).strip().splitlines()[0]
            raise CannotMove(f"{described(config)} cannot be used: {reason}.") from None
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


@contextmanager
def snapshot(alias: str, config: Config) -> Iterator[str]:
    """The database as it is at this moment, under `alias`, while others go on writing to it."""
    config = deepcopy(config)
    is_sqlite = config["ENGINE"].endswith("sqlite3")
    if is_sqlite:
        # IMMEDIATE, the site's own way, would lock writers out for as long as this takes.
        config["OPTIONS"] = {**config.get("OPTIONS", {}), "transaction_mode": "DEFERRED"}
    with connected(alias, config), transaction.atomic(using=alias):
        with connections[alias].cursor() as cursor:
            if is_sqlite:
                cursor.execute("SELECT count(*) FROM sqlite_master")  # reading begins the snapshot
            else:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield alias


def migrate(alias: str) -> None:
    """Brings tables up to date."""
    call_command("migrate", database=alias, interactive=False, verbosity=0)


def is_up_to_date(alias: str) -> bool:
    executor = MigrationExecutor(connections[alias])
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def holds_data(alias: str) -> str:
    """What would be lost if this database was overwritten, in words; empty when it is new."""
    there = set(connections[alias].introspection.table_names())
    for model in tables.all_models():
        name = model._meta.db_table
        if name in there and model._meta.label not in tables.MADE_BY_MIGRATE and _rows(alias, name):
            return f"{model._meta.verbose_name_plural} (table {name})"
    ours = {model._meta.db_table for model in tables.all_models()} | {"django_migrations"}
    foreign = sorted(there - ours)
    if foreign and not there & ours:
        return f"tables of something else ({', '.join(foreign[:3])})"
    return ""


def _rows(alias: str, table: str) -> bool:
    quoted = connections[alias].ops.quote_name(table)
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {quoted} LIMIT 1")  # the name comes from our models
        return cursor.fetchone() is not None


def clear(alias: str, models: list[type[Model]]) -> None:
    """Deletes every row of these tables; inside a transaction, as references are checked late."""
    connection = connections[alias]
    names = [connection.ops.quote_name(model._meta.db_table) for model in models]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"TRUNCATE {', '.join(names)}")
            return
        for name in names:
            cursor.execute(f"DELETE FROM {name}")
