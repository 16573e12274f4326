"""Which tables there are, their rows in the same form from every database, and their sums."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from django.apps import apps
from django.db import connections
from django.db.models import FloatField, Model

Row = tuple[Any, ...]

# Who is signed in, links that sign in, and which process works: of no use later or elsewhere.
NOT_MOVED = {"metrics.Lease", "dashboard.Present"}
NOT_IN_BACKUPS = {"sessions.Session", "dashboard.SigninLink", *NOT_MOVED}
# What a new database holds before anybody has used it.
MADE_BY_MIGRATE = {
    "contenttypes.ContentType",
    "auth.Permission",
    "dashboard.Dashboard",
    "dashboard.Panel",
}
# Rows in memory at once. A row of the log has up to 1 MB, a chunk some KB.
ROWS_AT_ONCE = 2_000
FEWER_ROWS = {"metrics.Batch": 50, "metrics.Chunk": 500}

_encode = msgspec.msgpack.Encoder(order="sorted").encode
_DIGEST_BYTES = 16
_MODULUS = 1 << (8 * _DIGEST_BYTES)


@dataclass(slots=True)
class Tally:
    """How many rows, and a sum over their hashes: the same whatever their order."""

    rows: int = 0
    digest: int = 0

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            hashed = hashlib.blake2b(_encode(row), digest_size=_DIGEST_BYTES).digest()
            self.digest = (self.digest + int.from_bytes(hashed, "little")) % _MODULUS
            self.rows += 1

    @property
    def text(self) -> str:
        return f"{self.digest:0{2 * _DIGEST_BYTES}x}"


def all_models() -> list[type[Model]]:
    """Every model with a table of its own, those between two models included."""
    found = apps.get_models(include_auto_created=True)
    return [model for model in found if model._meta.managed and not model._meta.proxy]


def but(left_out: set[str]) -> list[type[Model]]:
    return [model for model in all_models() if model._meta.label not in left_out]


def rows_at_once(model: type[Model]) -> int:
    return FEWER_ROWS.get(model._meta.label, ROWS_AT_ONCE)


def count(models: Iterable[type[Model]], alias: str) -> int:
    return sum(model._base_manager.using(alias).count() for model in models)


def read(model: type[Model], alias: str) -> Iterator[list[Row]]:
    """All rows, some at once, as Python values that do not depend on the database's engine."""
    fields = model._meta.concrete_fields
    floats = [at for at, field in enumerate(fields) if isinstance(field, FloatField)]
    most = rows_at_once(model)
    query = model._base_manager.using(alias).order_by("pk")
    part: list[Row] = []
    for row in query.values_list(*(field.attname for field in fields)).iterator(most):
        part.append(_floats(row, floats) if floats else row)
        if len(part) == most:
            yield part
            part = []
    if part:
        yield part


def _floats(row: Row, places: list[int]) -> Row:
    """SQLite may return a whole number as int, whatever the column's type."""
    changed = list(row)
    for at in places:
        if changed[at] is not None:
            changed[at] = float(changed[at])
    return tuple(changed)


def write(model: type[Model], alias: str, rows: Sequence[Row]) -> None:
    """Inserts rows with the ids and times they have."""
    connection = connections[alias]
    fields = model._meta.concrete_fields
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    table = quote(model._meta.db_table)
    prepared = [
        [
            field.get_db_prep_save(value, connection)
            for field, value in zip(fields, row, strict=True)
        ]
        for row in rows
    ]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in prepared:
                    copy.write_row(row)
        else:
            places = ", ".join(["%s"] * len(fields))
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", prepared)


def tally(model: type[Model], alias: str) -> Tally:
    """The sum over a whole table."""
    found = Tally()
    for rows in read(model, alias):
        found.add(rows)
    return found
