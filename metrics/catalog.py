"""(name, labels) -> series id, cached."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence

from django.db import Error, transaction

from metrics import cardinality, rows
from metrics.gaps import Gaps
from metrics.models import Metric
from metrics.names import LabelError, check_labels, check_metric
from metrics.refused import Refused, by_database
from metrics.rows import Description, Found, Key, Known, Wanted, fingerprint

__all__ = ["Description", "Key", "Known"]

_lock = threading.Lock()  # around changes of the cache; reading one dictionary needs none
_loading = threading.Lock()
_by_key: dict[Key, Known] = {}
_by_id: dict[int, Known] = {}
_by_name: dict[str, list[Known]] = {}
_metrics: dict[str, Description] = {}
_newest_id = 0  # every series up to this id was read, but for the gaps; see load()
_gaps = Gaps()


def key_of(metric: str, labels: Mapping[str, str]) -> Key:
    """An empty label is the same as none."""
    return metric, frozenset(pair for pair in labels.items() if pair[1] != "")


def cached(key: Key) -> Known | None:
    """The series if this process has met it; costs no query."""
    return _by_key.get(key)


def look_up(wanted: Mapping[Key, Wanted]) -> dict[Key, int]:
    """Ids of those series that exist; makes nothing.

    Raises Refused when a name cannot be taken, or when making the rest would pass a limit.
    """
    prints = _checked(wanted)
    try:
        found = rows.find(prints)
        _remember_once_committed(found.values())
        absent = {key: wanted[key].index for p, key in prints.items() if p not in found}
        if absent:
            cardinality.guard(absent)
    except Error as error:
        raise by_database(error) from error
    return {prints[p]: one.known.id for p, one in found.items()}


def resolve(wanted: Mapping[Key, Wanted]) -> dict[Key, int]:
    """Ids for these series, making those that do not exist.

    Raises Refused, and then nothing was made, or what the database raises. Inside a transaction
    the series made live and die with it.
    """
    prints = _checked(wanted)
    with transaction.atomic():
        found = rows.find(prints)
        absent = {p: key for p, key in prints.items() if p not in found}
        if absent:
            cardinality.guard({key: wanted[key].index for key in absent.values()})
            rows.make(absent, wanted)
            found |= rows.find(absent)
    _remember_once_committed(found.values())
    return {prints[p]: one.known.id for p, one in found.items()}


def _remember_once_committed(found: Iterable[Found]) -> None:
    """Not sooner: an id of a rolled back transaction must not be used again.

    Then they are read again: a savepoint may have been rolled back without Django's knowing.
    """
    if transaction.get_connection().in_atomic_block:
        ids = [one.known.id for one in found]
        transaction.on_commit(lambda: learn(ids), robust=True)
    else:
        _remember(found)


def _checked(wanted: Mapping[Key, Wanted]) -> dict[str, Key]:
    """Fingerprints of names that may come in. Raises Refused."""
    for key, one in wanted.items():
        _check(key, one.index)
    return {fingerprint(name, dict(labels)): (name, labels) for name, labels in wanted}


def _check(key: Key, index: int) -> None:
    name, labels = key
    try:
        check_metric(name)
    except ValueError as error:
        raise Refused(400, f"samples[{index}].metric", str(error)) from None
    try:
        check_labels(dict(labels))
    except LabelError as error:
        item = f"samples[{index}].labels" + (f".{_safe(error.name)}" if error.name else "")
        raise Refused(400, item, str(error)) from None


def _safe(name: str) -> str:
    return name if name.isprintable() and len(name) <= 60 else ascii(name[:60])


def _remember(found: Iterable[Found]) -> list[Known]:
    """Adds series to the cache; returns those that are new to this process."""
    new = []
    with _lock:
        for one in found:
            known = one.known
            _metrics.setdefault(known.name, one.metric)
            if known.id in _by_id:
                continue
            labels = {name: value for name, value in known.labels.items() if name != "__name__"}
            _by_id[known.id] = known
            _by_key[key_of(known.name, labels)] = known
            _by_name.setdefault(known.name, []).append(known)
            new.append(known)
    return new


def load() -> list[Known]:
    """Reads the series this process has not met yet; returns them."""
    global _newest_id
    with _loading:
        now_s = time.monotonic()
        found = rows.after(_newest_id)
        if found:
            newest = found[-1].known.id
            _gaps.note(_newest_id, newest, {one.known.id for one in found}, now_s)
            _newest_id = newest
        late = rows.by_ids([id for id in _gaps.due(now_s) if id not in _by_id])
        _gaps.close(one.known.id for one in late)
        return _remember([*found, *late])


def load_metrics() -> list[str]:
    """Reads kind, unit and help of every metric; returns the names where they have changed."""
    stored = Metric.objects.values_list("name", "kind", "unit", "help")
    fresh = {name: Description(kind, unit, help) for name, kind, unit, help in stored}
    changed = [name for name, said in fresh.items() if _metrics.get(name) != said]
    _metrics.update(fresh)
    return changed


def metrics() -> Mapping[str, Description]:
    """What is known of each metric by name; read only."""
    return _metrics


def learn(ids: Iterable[int]) -> list[Known]:
    """Reads these series by id; returns those new to this process."""
    return _remember(rows.by_ids([id for id in ids if id not in _by_id]))


def get(id: int) -> Known | None:
    return _by_id.get(id)


def known_ids() -> Mapping[int, Known]:
    """All cached series by id; read only."""
    return _by_id


def by_name(name: str) -> Sequence[Known]:
    return _by_name.get(name, ())


def everything() -> list[Known]:
    with _lock:
        return list(_by_id.values())


def forget() -> None:
    """Empties the cache (after deletions, and between tests)."""
    global _newest_id, _gaps
    with _loading, _lock:
        _by_key.clear()
        _by_id.clear()
        _by_name.clear()
        _metrics.clear()
        _newest_id = 0
        _gaps = Gaps()


def _after_fork() -> None:
    """Another thread may have held a lock while this process was forked."""
    global _lock, _loading
    _lock, _loading = threading.Lock(), threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


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
