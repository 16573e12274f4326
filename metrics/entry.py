"""One publisher's request on its way into the log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from metrics import catalog
from metrics.columns import Columns
from metrics.models import Source
from metrics.samples import Accepted, EventSample

UNKNOWN = 0  # in place of the id of a series that is not known yet


@dataclass(slots=True)
class Increment:
    """Something to add to a running total; `index` is its place in the request."""

    index: int
    series: int
    amount: float
    time_ms: int | None


@dataclass(slots=True)
class Newcomer:
    """A series that is not in the catalog's cache: where a request names it first, as what kind,
    and which of its readings (by place) and increments wait for the id."""

    index: int
    kind: str
    readings: list[int] = field(default_factory=list)
    increments: list[Increment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key, whose it is, and a hash of the request it came with."""

    scope: str
    key: str
    body_hash: bytes


@dataclass(slots=True)
class Entry:
    """A request: checked, and with the ids of the series that are known."""

    readings: Columns
    increments: list[Increment]
    now_ms: int
    newcomers: dict[catalog.Key, Newcomer] = field(default_factory=dict)
    events: list[EventSample] = field(default_factory=list)
    source: Source | None = None
    receipt: Key | None = None
    generation: int | None = None  # as of which its ids were looked up; None: they are sure
    deferred: int | None = None  # the row of metrics.Deferred that it comes from
    arrived_ns: int = field(default_factory=time.monotonic_ns)
    done: Future[Accepted] = field(default_factory=Future)

    @property
    def stored(self) -> int:
        return len(self.readings) + len(self.increments) + len(self.events)

    def know(self, ids: Mapping[catalog.Key, int]) -> None:
        """These newcomers exist already; the others are made with the entry."""
        self.fill(ids)
        for key in ids:
            del self.newcomers[key]

    def fill(self, ids: Mapping[catalog.Key, int]) -> None:
        """Puts ids where they were unknown."""
        for key, id in ids.items():
            newcomer = self.newcomers[key]
            self.readings.series[newcomer.readings] = id
            for increment in newcomer.increments:
                increment.series = id
