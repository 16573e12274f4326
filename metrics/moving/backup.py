"""A backup: one SQLite file of everything worth keeping, made while the site works.

The format is the same whichever database the site runs on, so a backup of PostgreSQL can be
restored into SQLite and the other way round. A table `pulseboard_backup` says when it was made
and holds the row count and checksum of every other table.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import DatabaseError

from metrics.clock import now_ms
from metrics.moving import backup_file, databases, tables
from metrics.moving.progress import Progress, Stream
from metrics.moving.transfer import SOURCE, TARGET, copy
from metrics.moving.trouble import CannotMove

PAGES_AT_ONCE = 1_000  # 4 MB with SQLite's usual pages
SPARE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Made:
    """A finished backup: its size on disk, and the rows of all its tables."""

    path: Path
    size_bytes: int
    rows: int


def make(path: Path, *, replace: bool = False, stream: Stream | None = None) -> Made:
    """Writes a backup to `path`, whole or not at all. Raises CannotMove.

    It is this moment's: what is published while it is written goes on and is not in it.
    """
    if path.exists() and not replace:
        raise CannotMove(f"{path} exists: choose another name, or say --replace.")
    try:
        with _part_of(path) as part:
            _fill(part, stream)
        return Made(path, path.stat().st_size, _rows(path))
    except OSError as error:
        raise CannotMove(f"{path} cannot be written: {error.strerror}.") from None
    except (sqlite3.Error, DatabaseError) as error:
        raise CannotMove(f"The backup was not made: {str(error).strip()}.") from None


@contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place once it is filled and on the disk."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    # Hashes of passwords and tokens are in it: nobody else may read it.
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)


def _fill(part: Path, stream: Stream | None) -> None:
    config = databases.own_config()
    if config["ENGINE"].endswith("sqlite3"):
        _copy_pages(Path(config["NAME"]), part, stream)
        source = "sqlite"
    else:
        _copy_rows(config, part, stream)
        source = "postgresql"
    with closing(backup_file.open_to_write(part)) as file:
        backup_file.leave_out(file, tables.NOT_IN_BACKUPS)
        total = backup_file.count(file)
        progress = Progress(stream, "Adding up", total)
        backup_file.describe(file, source, now_ms(), progress)
        progress.end(f"Backed up {total:,} rows.")


def _copy_pages(database: Path, part: Path, stream: Stream | None) -> None:
    """SQLite's own online backup: page by page, of one moment.

    The open read transaction keeps that moment: without it the copy would begin anew with each
    commit of another process, and never end on a busy site. Meanwhile the write-ahead log grows.
    """
    size = database.stat().st_size
    if shutil.disk_usage(part.parent).free < size + SPARE_BYTES:
        raise CannotMove(
            f"The disk of {part.parent} has not enough room: the database has {size:,} bytes."
        )
    with (
        closing(sqlite3.connect(database, isolation_level=None)) as source,
        closing(sqlite3.connect(part, isolation_level=None)) as target,
    ):
        target.execute("PRAGMA synchronous=OFF")  # it is synced once, at the end
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        pages = source.execute("PRAGMA page_count").fetchone()[0]
        progress = Progress(stream, "Copying pages", pages)
        source.backup(
            target,
            pages=PAGES_AT_ONCE,
            progress=lambda status, remaining, total: progress.reach(total - remaining),
        )
        progress.end(f"Copied {pages:,} pages.")


def _copy_rows(config: databases.Config, part: Path, stream: Stream | None) -> None:
    """PostgreSQL: every table as it is in one snapshot, into a new file with the same tables."""
    models = tables.but(tables.NOT_IN_BACKUPS)
    with (
        databases.connected(TARGET, databases.file_config(part)),
        databases.snapshot(SOURCE, config),
    ):
        if not databases.is_up_to_date(SOURCE):
            raise CannotMove("The tables are not up to date: run manage.py migrate first.")
        databases.migrate(TARGET)
        copy(SOURCE, TARGET, models, stream)


def _rows(path: Path) -> int:
    with closing(backup_file.open_to_read(path)) as file:
        return backup_file.manifest(file).rows
