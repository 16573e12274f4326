"""Rows of series and their metrics: found, read and made. No cache; see catalog."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet

from metrics.models import DeletedSeries, Generation, Metric, Series
from metrics.names import check_metric

Key = tuple[str, frozenset[tuple[str, str]]]

ROWS_PER_QUERY = 1000  # SQLite bounds a query's parameters


@dataclass(frozen=True, slots=True)
class Known:
    """A series as the rest of the process sees it; `labels` include __name__."""

    id: int
    labels: dict[str, str]

    @property
    def name(self) -> str:
        return self.labels["__name__"]


@dataclass(frozen=True, slots=True)
class Description:
    """What a publisher says about a metric: its kind, unit and a sentence of help."""

    kind: str = "gauge"
    unit: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A series' row and its metric's."""

    known: Known
    metric: Description


class Wanted(Protocol):
    """A series somebody asks for: its first sample's place in the request, and that one's kind."""

    @property
    def index(self) -> int: ...
    @property
    def kind(self) -> str: ...


def fingerprint(metric: str, labels: Mapping[str, str]) -> str:
    """128 bits of BLAKE2b over the name and the sorted labels, in hexadecimal."""
    text = json.dumps([metric, sorted(labels.items())], ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def find(prints: Iterable[str]) -> dict[str, Found]:
    """The series with these fingerprints, by fingerprint."""
    wanted = list(prints)
    found: dict[str, Found] = {}
    for start in range(0, len(wanted), ROWS_PER_QUERY):
        rows = Series.objects.filter(fingerprint__in=wanted[start : start + ROWS_PER_QUERY])
        found.update(read(rows))
    return found


def read(rows: QuerySet[Series]) -> Iterator[tuple[str, Found]]:
    """(fingerprint, what was found) of each row."""
    fields = rows.values_list(
        "fingerprint", "id", "labels", "metric__name", "metric__kind", "metric__unit",
        "metric__help",
    )  # fmt: skip
    for p, id, labels, name, kind, unit, help in fields.iterator(5000):
        yield p, Found(Known(id, {"__name__": name, **labels}), Description(kind, unit, help))


def after(id: int) -> list[Found]:
    """Every series with a higher id, in order of their ids."""
    if newest_id() <= id:
        return []
    return [one for _, one in read(Series.objects.filter(id__gt=id).order_by("id"))]


def newest_id() -> int:
    """The highest id of a series; 0: there is none."""
    with connection.cursor() as cursor:  # as generation(): asked for every picture
        cursor.execute(f"SELECT MAX(id) FROM {Series._meta.db_table}")
        return cursor.fetchone()[0] or 0


def by_ids(ids: Sequence[int]) -> list[Found]:
    found: list[Found] = []
    for start in range(0, len(ids), ROWS_PER_QUERY):
        rows = Series.objects.filter(id__in=ids[start : start + ROWS_PER_QUERY])
        found += [one for _, one in read(rows)]
    return found


def generation() -> int:
    """How many deletions there were; in a transaction of its own snapshot, as of its last query."""
    with connection.cursor() as cursor:  # asked at every append: a model would cost ten times more
        cursor.execute(f"SELECT number FROM {Generation._meta.db_table}")
        row = cursor.fetchone()
    return row[0] if row else 0


def deleted_between(after: int, until: int) -> set[int] | None:
    """Ids of the series deleted since generation `after`; None when not all are known any more."""
    deleted = DeletedSeries.objects.filter(generation__gt=after, generation__lte=until)
    found = dict(deleted.values_list("series_id", "generation"))
    return set(found) if after >= 0 and len(set(found.values())) == until - after else None


def gone(ids: Sequence[int]) -> set[int]:
    """Those of these series that do not exist."""
    missing = set(ids)
    for start in range(0, len(ids), ROWS_PER_QUERY):
        rows = Series.objects.filter(id__in=ids[start : start + ROWS_PER_QUERY])
        missing.difference_update(rows.values_list("id", flat=True))
    return missing


def make(absent: Mapping[str, Key], wanted: Mapping[Key, Wanted]) -> None:
    """Makes series (by fingerprint) and their metrics; those that others made meanwhile stay."""
    # Both sorted: two processes that make the same ones must not wait for each other in a circle.
    kinds = {key[0]: wanted[key].kind for key in absent.values()}
    Metric.objects.bulk_create(
        [
            Metric(name=name, kind="gauge" if kind == "gauge" else "counter")
            for name, kind in sorted(kinds.items())
        ],
        ignore_conflicts=True,
        batch_size=ROWS_PER_QUERY,
    )
    names = sorted(kinds)
    metrics: dict[str, int] = {}
    for start in range(0, len(names), ROWS_PER_QUERY):
        part = Metric.objects.filter(name__in=names[start : start + ROWS_PER_QUERY])
        metrics.update(part.values_list("name", "id"))
    if len(metrics) < len(names):  # the transaction's owner tries once more
        raise IntegrityError("a metric was deleted while series of it were made")
    Series.objects.bulk_create(
        [
            Series(metric_id=metrics[name], labels=dict(sorted(labels)), fingerprint=p)
            for p, (name, labels) in sorted(absent.items())
        ],
        ignore_conflicts=True,
        batch_size=ROWS_PER_QUERY,
    )


def describe(descriptions: Mapping[str, Description]) -> None:
    """Makes or completes metrics with kind, unit and help; leaves what an admin has written."""
    for name in descriptions:
        check_metric(name)
    with transaction.atomic():
        Metric.objects.bulk_create(
            [
                Metric(name=name, kind=said.kind, unit=said.unit, help=said.help)
                for name, said in descriptions.items()
            ],
            ignore_conflicts=True,
        )
        for metric in Metric.objects.filter(name__in=list(descriptions), unit="", help=""):
            said = descriptions[metric.name]
            if said.unit or said.help or metric.kind != said.kind:
                metric.kind, metric.unit, metric.help = said.kind, said.unit, said.help
                metric.save(update_fields=["kind", "unit", "help"])
