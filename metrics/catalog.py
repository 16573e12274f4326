"""(name, labels) -> series id, cached.

Series may be deleted while processes hold their ids. Each deletion counts the stored generation
up; the cache knows as of which generation it is right, whoever takes ids from it says so with
what he appends (log.Entry), and an append as of another generation is refused as Outdated, in
its own transaction. Then catch_up() forgets what was deleted, and the append is made anew.
"""

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
from metrics.rows import Description, Found, Key, Known, Wanted, describe, fingerprint

__all__ = ["Description", "Key", "Known", "describe"]

_lock = threading.Lock()  # around changes of the cache; reading one dictionary needs none
_loading = threading.Lock()
_by_key: dict[Key, Known] = {}
_by_id: dict[int, Known] = {}
_by_name: dict[str, list[Known]] = {}
_metrics: dict[str, Description] = {}
_met: list[Known] = []  # in the order this process met them; the deleted ones stay in it
_deleted: list[int] = []  # that this process had met
_generation = -1  # the cache holds no series that was deleted by then; -1: not asked yet
_newest_id = 0  # every series up to this id was read, but for the gaps; see load()
_gaps = Gaps()


class Outdated(Exception):
    """Series were deleted since these ids were looked up: catch_up() and look again."""


def key_of(metric: str, labels: Mapping[str, str]) -> Key:
    """An empty label is the same as none."""
    return metric, frozenset(pair for pair in labels.items() if pair[1] != "")


def _key_of_known(known: Known) -> Key:
    return key_of(
        known.name, {name: value for name, value in known.labels.items() if name != "__name__"}
    )


def cached(key: Key) -> Known | None:
    """The series if this process has met it; costs no query."""
    return _by_key.get(key)


def look_up(wanted: Mapping[Key, Wanted]) -> dict[Key, int]:
    """Ids of those series that exist; makes nothing.

    Raises Refused when a name cannot be taken, or when making the rest would pass a limit.
    """
    prints = _checked(wanted)
    as_of = _generation
    try:
        found = rows.find(prints)
        _remember_once_committed(found.values(), as_of)
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
    as_of = _generation
    with transaction.atomic():
        found = rows.find(prints)
        absent = {p: key for p, key in prints.items() if p not in found}
        if absent:
            cardinality.guard({key: wanted[key].index for key in absent.values()})
            rows.make(absent, wanted)
            found |= rows.find(absent)
    _remember_once_committed(found.values(), as_of)
    return {prints[p]: one.known.id for p, one in found.items()}


def _remember_once_committed(found: Iterable[Found], as_of: int) -> None:
    """Not sooner: an id of a rolled back transaction must not be used again.

    Then they are read again: a savepoint may have been rolled back without Django's knowing.
    """
    if transaction.get_connection().in_atomic_block:
        ids = [one.known.id for one in found]
        transaction.on_commit(lambda: learn(ids), robust=True)
    else:
        _remember(found, as_of)


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


def _remember(found: Iterable[Found], as_of: int) -> list[Known] | None:
    """Adds series to the cache; returns those that are new to this process.

    None, and nothing was added, when the cache is of another generation than it was before they
    were read: they may have been deleted since.
    """
    new: list[Known] = []
    with _lock:
        if _generation != as_of:
            return None
        for one in found:
            known = one.known
            _metrics.setdefault(known.name, one.metric)
            if known.id in _by_id:
                continue
            _by_id[known.id] = known
            _by_key[_key_of_known(known)] = known
            _by_name.setdefault(known.name, []).append(known)
            new.append(known)
        _met.extend(new)
    return new


def load() -> list[Known]:
    """Reads the series this process has not met yet; returns them. Forgets deleted ones."""
    global _newest_id
    with _loading:
        _catch_up()
        now_s = time.monotonic()
        found = rows.after(_newest_id)
        if found:
            newest = found[-1].known.id
            _gaps.note(_newest_id, newest, {one.known.id for one in found}, now_s)
            _newest_id = newest
        late = rows.by_ids([id for id in _gaps.due(now_s) if id not in _by_id])
        _gaps.close(one.known.id for one in late)
        return _remember([*found, *late], _generation) or []


def generation() -> int:
    """As of when the cache is right: to be asked before ids are taken from it."""
    return _generation


def catch_up() -> None:
    """Forgets the series that were deleted, in whatever process."""
    with _loading:
        _catch_up()


def _catch_up() -> None:
    global _generation
    number = rows.generation()
    if number == _generation:
        return
    deleted = rows.deleted_between(_generation, number)
    if deleted is None:  # long ago, or a deletion that this process saw was rolled back
        deleted = rows.gone(list(_by_id))
    with _lock:
        gone = [known for id in sorted(deleted) if (known := _by_id.pop(id, None)) is not None]
        _deleted.extend(known.id for known in gone)
        for known in gone:
            key = _key_of_known(known)
            if _by_key.get(key) is known:  # or it was made anew meanwhile
                del _by_key[key]
        for name in {known.name for known in gone}:
            left = [known for known in _by_name[name] if known.id not in deleted]
            _by_name[name] = left
            if not left:
                del _by_name[name]
                _metrics.pop(name, None)
        # Last: publishers take ids without the lock, and ask for the generation before.
        _generation = number


def load_metrics() -> list[str]:
    """Reads kind, unit and help of every metric; returns the names where they have changed."""
    stored = Metric.objects.values_list("name", "kind", "unit", "help")
    fresh = {name: Description(kind, unit, help) for name, kind, unit, help in stored}
    changed = [name for name, said in fresh.items() if _metrics.get(name) != said]
    _metrics.update(fresh)
    for name in [name for name in list(_metrics) if name not in fresh and name not in _by_name]:
        del _metrics[name]
    return changed


def metrics() -> Mapping[str, Description]:
    """What is known of each metric by name; read only."""
    return _metrics


def learn(ids: Iterable[int]) -> list[Known]:
    """Reads these series by id; returns those new to this process."""
    wanted = list(ids)
    while True:
        as_of = _generation
        found = rows.by_ids([id for id in wanted if id not in _by_id])
        new = _remember(found, as_of)
        if new is not None:
            return new


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


def met_since(position: int) -> tuple[list[Known], int]:
    """The series that this process has met since; and the position to ask from next time."""
    if len(_met) == position:  # asked for every batch
        return [], position
    with _lock:
        return [known for known in _met[position:] if known.id in _by_id], len(_met)


def met_count() -> int:
    """The position from which met_since() has nothing yet."""
    return len(_met)


def deleted_since(position: int) -> tuple[list[int], int]:
    """Ids of known series whose deletion was noticed since; and the position to ask from next."""
    with _lock:
        return _deleted[position:], len(_deleted)


def forget() -> None:
    """Empties the cache (after deletions, and between tests)."""
    global _newest_id, _gaps, _generation
    with _loading, _lock:
        _met.clear()
        _deleted.clear()
        _generation = -1
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
