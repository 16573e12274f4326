"""All rows of one database into another, of whichever engine, checked before it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connections, transaction
from django.db.models import Max, Model

from metrics.models import Batch
from metrics.moving import databases, numbering, tables
from metrics.moving.databases import Config
from metrics.moving.progress import Progress, Stream
from metrics.moving.tables import Tally
from metrics.moving.trouble import CannotMove

SOURCE = "moving_source"
TARGET = "moving_target"


@dataclass(frozen=True, slots=True)
class Moved:
    """What is in the new database, and how many batches came into the old one meanwhile."""

    tables: int
    rows: int
    missed_batches: int


def move(target: Config, stream: Stream | None = None) -> Moved:
    """Copies this site's database into an empty one.

    Nobody is stopped from writing to the old one: what is copied is the moment this began. The
    new one holds all of it or nothing. Raises CannotMove.
    """
    source = databases.own_config()
    if _same(source, target):
        raise CannotMove(f"{databases.described(target)} is the database in use already.")
    models = tables.but(tables.NOT_MOVED)
    with databases.connected(TARGET, target), databases.snapshot(SOURCE, source):
        if not databases.is_up_to_date(SOURCE):
            raise CannotMove("The tables are not up to date: run manage.py migrate first.")
        if found := databases.holds_data(TARGET):
            raise CannotMove(
                f"{databases.described(target)} is not empty, it holds {found}: expected a new "
                "database. Nothing was changed."
            )
        databases.migrate(TARGET)
        copied = copy(SOURCE, TARGET, models, stream)
        newest = _newest_batch(SOURCE)
    missed = Batch.objects.filter(id__gt=newest).count()
    return Moved(len(copied), sum(tally.rows for tally in copied.values()), missed)


def copy(
    source: str, target: str, models: list[type[Model]], stream: Stream | None = None
) -> dict[str, Tally]:
    """Puts the rows of these tables in place of all that `target` holds; sums by table.

    In one transaction of the target, which is checked before it ends. Raises CannotMove.
    """
    with transaction.atomic(using=target):
        databases.clear(target, tables.all_models())
        total = tables.count(models, source)
        progress = Progress(stream, "Copying rows", total)
        copied = {model._meta.db_table: _copy(model, source, target, progress) for model in models}
        progress.end(f"Copied {total:,} rows of {len(models)} tables.")
        numbering.carry_on(models, source, target)
        compare(target, models, copied, stream)
    if connections[target].vendor == "postgresql":
        with connections[target].cursor() as cursor:
            cursor.execute("ANALYZE")  # the planner knows nothing of the new rows yet
    return copied


def _copy(model: type[Model], source: str, target: str, progress: Progress) -> Tally:
    tally = Tally()
    for rows in progress.through(tables.read(model, source), len):
        tally.add(rows)
        tables.write(model, target, rows)
    return tally


def compare(
    alias: str, models: list[type[Model]], expected: Mapping[str, Tally], stream: Stream | None
) -> None:
    """Reads every row again. Raises CannotMove when one table does not hold what it should."""
    progress = Progress(stream, "Comparing rows", sum(tally.rows for tally in expected.values()))
    for model in models:
        name = model._meta.db_table
        found = Tally()
        for rows in progress.through(tables.read(model, alias), len):
            found.add(rows)
        if found != expected[name]:
            raise CannotMove(
                f"Table {name} was not copied right ({found.rows:,} rows, checksum {found.text}; "
                f"expected {expected[name].rows:,}, {expected[name].text}): nothing was kept."
            )
    progress.end("Compared them: counts and checksums of all tables agree.")


def _newest_batch(alias: str) -> int:
    newest: int | None = Batch.objects.using(alias).aggregate(newest=Max("id"))["newest"]
    return newest or 0


def _same(one: Config, other: Config) -> bool:
    keys = ("ENGINE", "NAME", "HOST", "PORT")
    return all(str(one.get(key) or "") == str(other.get(key) or "") for key in keys)
