"""The next ids of tables: a copy must not give an id again that was used before."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connections
from django.db.models import AutoField, Max, Model


def carry_on(models: Iterable[type[Model]], source: str, target: str) -> None:
    """In `target` the ids go on where those of `source` are, or behind the highest row."""
    for model in models:
        key = model._meta.pk
        if not isinstance(key, AutoField):  # Django counts BigAutoField among them
            continue
        column = str(key.column)
        highest = model._base_manager.using(target).aggregate(highest=Max("pk"))["highest"] or 0
        last = max(highest, _last(model, column, source))
        if last:
            _set(model, column, target, last)


def _last(model: type[Model], column: str, alias: str) -> int:
    """The id that was given last, even if its row is gone."""
    connection = connections[alias]
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_sequence_last_value(pg_get_serial_sequence(%s, %s)::regclass)",
                [connection.ops.quote_name(table), column],
            )
        else:
            cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        row = cursor.fetchone()
    return row[0] or 0 if row else 0


def _set(model: type[Model], column: str, alias: str, last: int) -> None:
    connection = connections[alias]
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence(%s, %s), %s)",
                [connection.ops.quote_name(table), column, last],
            )
            return
        cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table])
        cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, last])
