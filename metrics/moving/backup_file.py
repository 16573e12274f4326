"""The file a backup is: what it says of itself, and whether that is true.

Works on the tables the file has, not on the models of this version: a backup of an older
Pulseboard can be checked too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from django.apps import apps

from metrics import codec, rollups
from metrics.columns import Columns
from metrics.moving.progress import Progress
from metrics.moving.tables import Tally
from metrics.moving.trouble import CannotMove

FORMAT = 1
MANIFEST = "pulseboard_backup"
ROWS_AT_ONCE = 200


class Table(msgspec.Struct):
    rows: int
    checksum: str


class Manifest(msgspec.Struct):
    """What a backup says of itself: `source` is the engine it was made from."""

    format: int
    source: str
    made_at_ms: int
    tables: dict[str, Table]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())


def open_to_write(path: Path) -> sqlite3.Connection:
    """A file that nobody else has open, as one file without a write-ahead log beside it."""
    file = sqlite3.connect(path, isolation_level=None)
    file.execute("PRAGMA journal_mode=DELETE")
    file.execute("PRAGMA synchronous=OFF")
    file.execute("PRAGMA secure_delete=ON")  # what is left out is overwritten, not only unlinked
    return file


def open_to_read(path: Path) -> sqlite3.Connection:
    """Raises CannotMove when there is no such file."""
    if not path.is_file():
        raise CannotMove(f"{path} is not there: expected a file made by manage.py backup.")
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


def leave_out(file: sqlite3.Connection, labels: Iterable[str]) -> None:
    """Empties the tables of these models."""
    there = set(names(file))
    file.execute("BEGIN")
    for label in labels:
        table = apps.get_model(label)._meta.db_table
        if table in there:
            file.execute(f'DELETE FROM "{table}"')
    file.execute("COMMIT")


def names(file: sqlite3.Connection) -> list[str]:
    """The tables, without SQLite's own and the manifest."""
    found = file.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in found if name != MANIFEST and not name.startswith("sqlite_")]


def count(file: sqlite3.Connection) -> int:
    return sum(file.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names(file))


def describe(file: sqlite3.Connection, source: str, made_at_ms: int, progress: Progress) -> None:
    """Writes the manifest."""
    found = {name: _sum(file, name, progress) for name in names(file)}
    text = msgspec.json.encode(Manifest(FORMAT, source, made_at_ms, found)).decode()
    file.execute(f"DROP TABLE IF EXISTS {MANIFEST}")
    file.execute(f"CREATE TABLE {MANIFEST} (manifest TEXT NOT NULL)")
    file.execute(f"INSERT INTO {MANIFEST} VALUES (?)", (text,))


def manifest(file: sqlite3.Connection) -> Manifest:
    """Raises CannotMove when this is no backup, or one of a later version."""
    try:
        (text,) = file.execute(f"SELECT manifest FROM {MANIFEST}").fetchone()
        found = msgspec.json.decode(text, type=Manifest)
    except (sqlite3.Error, TypeError, msgspec.MsgspecError):
        raise CannotMove("This file is no backup: expected one made by manage.py backup.") from None
    if found.format != FORMAT:
        raise CannotMove(
            f"This backup has format {found.format}, known here is {FORMAT}: restore it with the "
            "version of Pulseboard that made it."
        )
    return found


def check(file: sqlite3.Connection, progress: Progress) -> Manifest:
    """Reads all of it: the file's structure, every row's checksum, every payload.

    Raises CannotMove with what is wrong.
    """
    said = manifest(file)
    try:
        broken = [line for (line,) in file.execute("PRAGMA integrity_check(3)") if line != "ok"]
        broken += [f"a reference of {row[0]} leads nowhere" for row in
                   file.execute("PRAGMA foreign_key_check").fetchmany(3)]  # fmt: skip
        if broken:
            raise CannotMove(f"The backup is damaged: {'; '.join(broken)}.")
        there = names(file)
        if sorted(said.tables) != there:
            raise CannotMove("The backup is damaged: it has not the tables it says.")
        for name in there:
            if _sum(file, name, progress) != said.tables[name]:
                raise CannotMove(f"The backup is damaged: table {name} is not as it was written.")
        _check_payloads(file, "metrics_batch", "data, count", _check_batch)
        _check_payloads(file, "metrics_chunk", "data, count, resolution_ms", _check_chunk)
    except sqlite3.Error as error:
        raise CannotMove(f"The backup is damaged: {error}.") from None
    return said


def _sum(file: sqlite3.Connection, table: str, progress: Progress) -> Table:
    tally = Tally()
    for rows in _parts(file.execute(f'SELECT * FROM "{table}"')):
        tally.add(rows)
        progress.add(len(rows))
    return Table(tally.rows, tally.text)


def _parts(cursor: sqlite3.Cursor) -> Iterator[list[Any]]:
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        yield rows


def _check_payloads(
    file: sqlite3.Connection, table: str, columns: str, look: Callable[..., int]
) -> None:
    if table not in names(file):
        return
    for id, data, count, *rest in file.execute(f"SELECT id, {columns} FROM {table}"):
        try:
            found = look(data, *rest)
        except ValueError as error:
            raise CannotMove(f"Row {id} of {table} cannot be read: {error}.") from None
        if found != count:
            raise CannotMove(f"Row {id} of {table} holds {found:,} samples, it says {count:,}.")


def _check_batch(data: bytes) -> int:
    return len(Columns.unpack(data))


def _check_chunk(data: bytes, resolution_ms: int) -> int:
    return len(rollups.decode(data, resolution_ms) if resolution_ms else codec.decode(data)[0])
