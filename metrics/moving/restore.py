"""A backup back into a database, of either engine."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from metrics import catalog
from metrics.clock import now_ms
from metrics.models import Lease
from metrics.moving import backup_file, databases, tables
from metrics.moving.backup_file import Manifest
from metrics.moving.progress import Progress, Stream
from metrics.moving.transfer import SOURCE, copy
from metrics.moving.trouble import CannotMove

PAGES_AT_ONCE = 1_000


def restore(path: Path, *, replace: bool = False, stream: Stream | None = None) -> Manifest:
    """Puts a backup in place of what the site's database holds; brings older tables up to date.

    The whole file is checked first. All of it is restored or nothing. Raises CannotMove, also
    when data would be overwritten and `replace` does not say so.
    """
    with closing(backup_file.open_to_read(path)) as file:
        said = backup_file.manifest(file)
        _check_version(file)
        _check_target(replace)
        progress = Progress(stream, "Checking the backup", said.rows)
        backup_file.check(file, progress)
        progress.end(f"Checked {said.rows:,} rows of the backup.")
        try:
            if connection.vendor == "sqlite":
                _restore_pages(file, stream)
                databases.migrate(DEFAULT_DB_ALIAS)
            else:
                _restore_rows(path, stream)
        except (sqlite3.Error, DatabaseError) as error:
            raise CannotMove(f"The backup was not restored: {str(error).strip()}.") from None
    catalog.forget()
    return said


def _check_version(file: sqlite3.Connection) -> None:
    """A migration that this version does not know was made by a later one."""
    known = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    rows = file.execute("SELECT app, name FROM django_migrations")
    unknown = sorted(f"{app}.{name}" for app, name in rows if (app, name) not in known)
    if unknown:
        raise CannotMove(
            f"The backup is of another, probably later, version of Pulseboard ({unknown[0]} is "
            "not known here): restore it with that version."
        )


def _check_target(replace: bool) -> None:
    found = databases.holds_data(DEFAULT_DB_ALIAS)
    if found and not replace:
        raise CannotMove(
            f"The database holds {found}, which would be overwritten: restore into a new one "
            "(DATABASE_URL, DATA_DIR), or say --replace to give up what it holds."
        )
    if "metrics_lease" in connection.introspection.table_names():
        keeper = Lease.objects.filter(expires_at_ms__gt=now_ms()).first()
        if keeper is not None:
            raise CannotMove(
                f"A Pulseboard works on this database ({keeper.holder}): stop it first, and wait "
                "half a minute if it was killed."
            )


def _restore_pages(file: sqlite3.Connection, stream: Stream | None) -> None:
    """Into SQLite: page by page, in one transaction of the target."""
    name = connection.settings_dict["NAME"]
    connection.close()
    with closing(sqlite3.connect(name, isolation_level=None, timeout=10)) as target:
        pages = file.execute("PRAGMA page_count").fetchone()[0]
        progress = Progress(stream, "Restoring pages", pages)
        file.backup(
            target,
            pages=PAGES_AT_ONCE,
            progress=lambda status, remaining, total: progress.reach(total - remaining),
        )
        target.execute(f"DROP TABLE IF EXISTS {backup_file.MANIFEST}")
        progress.end(f"Restored {pages:,} pages.")


def _restore_rows(path: Path, stream: Stream | None) -> None:
    """Into PostgreSQL: row by row."""
    databases.migrate(DEFAULT_DB_ALIAS)
    with databases.connected(SOURCE, databases.read_only_config(path)):
        current = databases.is_up_to_date(SOURCE)
        if current:
            _copy_from_file(stream)
    if current:
        return
    with tempfile.TemporaryDirectory(prefix="pulseboard-restore-") as folder:
        newer = Path(folder) / "backup.sqlite3"
        shutil.copyfile(path, newer)
        with databases.connected(SOURCE, databases.file_config(newer)):
            databases.migrate(SOURCE)
            _copy_from_file(stream)


def _copy_from_file(stream: Stream | None) -> None:
    copy(SOURCE, DEFAULT_DB_ALIAS, tables.but(tables.NOT_MOVED), stream)
