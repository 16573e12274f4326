"""Running totals: increments become cumulative readings inside the append transaction."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from metrics.columns import Columns
from metrics.entry import Entry
from metrics.models import Total

ROWS_PER_QUERY = 1000  # SQLite bounds a query's parameters

# One statement for what would otherwise be a locked read and a write: whoever comes later adds to
# what is there then. A reading's time only grows, even where the clock does not.
_ADD = """
INSERT INTO {table} (series_id, value, time_ms) VALUES {rows}
ON CONFLICT (series_id) DO UPDATE SET
    value = {table}.value + excluded.value,
    time_ms = CASE WHEN excluded.time_ms > {table}.time_ms
              THEN excluded.time_ms ELSE {table}.time_ms + 1 END
RETURNING series_id, value, time_ms
"""


def advance(entries: Sequence[Entry]) -> tuple[Columns, dict[int, float]]:
    """Adds up the increments; the new readings, and the total by series.

    The rows stay locked until the transaction ends: concurrent increments all count, and a reader
    never sees a total go back, which `rate` would take for a reset.
    """
    added: dict[int, float] = {}
    wanted_ms: dict[int, int] = {}
    for entry in entries:
        for one in entry.increments:
            added[one.series] = added.get(one.series, 0.0) + one.amount
            at_ms = entry.now_ms if one.time_ms is None else min(one.time_ms, entry.now_ms)
            wanted_ms[one.series] = max(wanted_ms.get(one.series, 0), at_ms)
    # In order, so that two transactions cannot wait for each other in a circle.
    ids = sorted(added)
    rows: list[tuple[int, float, int]] = []
    for start in range(0, len(ids), ROWS_PER_QUERY):
        part = ids[start : start + ROWS_PER_QUERY]
        rows += _add([(id, added[id], wanted_ms[id]) for id in part])
    series, values, times = zip(*rows, strict=True) if rows else ((), (), ())
    return Columns.of(series, times, values), dict(zip(series, values, strict=True))


def _add(rows: Sequence[tuple[int, float, int]]) -> list[tuple[int, float, int]]:
    sql = _ADD.format(table=Total._meta.db_table, rows=", ".join(["(%s, %s, %s)"] * len(rows)))
    with connection.cursor() as cursor:
        cursor.execute(sql, [field for row in rows for field in row])
        # SQLite returns a whole number as int, whatever the column's type.
        return [(series, float(value), at_ms) for series, value, at_ms in cursor.fetchall()]
