"""What a connection can watch besides expressions: events, and the list of metrics.

A feed has a ring of encoded frames and a snapshot. Touched only from the event loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Set

import numpy as np

from dashboard import protocol
from dashboard.frames import Frame
from dashboard.ring import Ring
from metrics import catalog
from metrics.bell import StoredEvent
from metrics.head import Head

EVENTS_KEPT = 1000
SPARK_POINTS = 60
SPARK_STEP_MS = 1000
PICTURE_MS = 1000  # a list of all metrics serves everybody who asks within this time


class EventsFeed:
    """The newest events, kept in memory: a snapshot costs no query."""

    def __init__(self) -> None:
        self.ring = Ring()
        self._events: deque[protocol.EventItem] = deque(maxlen=EVENTS_KEPT)
        self._picture: tuple[int, Frame] | None = None  # for the limit asked for last

    def fill(self, events: Iterable[StoredEvent]) -> None:
        """Begins with what was stored before."""
        self._events.extend(_item(event) for event in events)

    def add(self, events: Iterable[StoredEvent], arrived_ns: int = 0) -> None:
        """Tells everybody of events, but for those that are known."""
        known = self.ids()
        new = [_item(event) for event in events if event.id not in known]
        if new:
            self._events.extend(new)
            self._picture = None
            self.ring.append(
                lambda cursor: Frame(protocol.encode(protocol.Events(0, new, cursor)), cursor),
                arrived_ns,
            )

    def ids(self) -> set[int]:
        return {item.id for item in self._events}

    def drop(self, ids: Set[int]) -> None:
        """These were deleted: whoever comes from now on is not told of them."""
        if ids:
            kept = [item for item in self._events if item.id not in ids]
            self._events = deque(kept, maxlen=EVENTS_KEPT)
            self._picture = None

    def picture(self, limit: int) -> Frame:
        if self._picture is None or self._picture[0] != limit:
            newest = sorted(self._events, key=lambda item: item.id)[-limit:]
            events = protocol.Events(0, newest, self.ring.cursor)
            self._picture = (limit, Frame(protocol.encode(events), self.ring.cursor))
        return self._picture[1]


def _item(event: StoredEvent) -> protocol.EventItem:
    return protocol.EventItem(event.id, event.time_ms, event.title, event.text, event.labels)


class MetricsFeed:
    """Every metric with its newest sample."""

    def __init__(self, head: Head) -> None:
        self.ring = Ring()
        self.watchers = 0
        self._head = head
        self._touched: set[int] = set()
        self._changed: set[str] = set()
        self._picture: tuple[int, Frame] | None = None  # with the time it was made

    def touch(self, ids: Iterable[int]) -> None:
        """These series have new samples."""
        if self.watchers:
            self._touched.update(ids)
        else:
            self._lapse()

    def changed(self, names: Iterable[str]) -> None:
        """These metrics are new, or described anew."""
        if self.watchers:
            self._changed.update(names)
        else:
            self._lapse()

    def begin_anew(self) -> None:
        """Some metrics are gone: everybody who looks gets a new list."""
        self._picture = None
        self.ring.begin()

    def _lapse(self) -> None:
        """Nobody looks: what happens is not kept, so who comes back begins with a snapshot."""
        if self.ring.seq or self._picture is not None:
            self.ring.begin()
            self._picture = None

    def flush(self, arrived_ns: int = 0) -> bool:
        """Appends what changed to the ring; False when that is nothing."""
        newest: dict[str, tuple[int, int]] = {}
        for id in self._touched:
            known, last = catalog.get(id), self._head.last(id)
            if known is not None and last is not None:
                # Of samples at the same time the oldest series is shown: it stays the same one.
                newest[known.name] = max(newest.get(known.name, (0, 0)), (last[0], -id))
        for name in self._changed - newest.keys():
            newest[name] = self._newest(name)
        self._touched, self._changed = set(), set()
        items = [self._item(name, -negative_id) for name, (_, negative_id) in newest.items()]
        if items:
            self.ring.append(
                lambda cursor: Frame(protocol.encode(protocol.Metrics(0, items, cursor)), cursor),
                arrived_ns,
            )
        return bool(items)

    def picture(self, now_ms: int) -> Frame:
        made = self._picture
        if (
            made is None
            or not 0 <= now_ms - made[0] < PICTURE_MS
            or self.ring.position(made[1].cursor) is None
        ):
            cursor = self.ring.cursor
            frame = protocol.Metrics(0, self._everything(now_ms), cursor)
            made = self._picture = (now_ms, Frame(protocol.encode(frame), cursor))
        return made[1]

    def _everything(self, now_ms: int) -> list[protocol.MetricItem]:
        items = []
        for name in sorted(catalog.metrics()):
            id = -self._newest(name)[1]
            item = self._item(name, id)
            item.spark = self._spark(id, now_ms)
            items.append(item)
        return items

    def _newest(self, name: str) -> tuple[int, int]:
        """(time, -id) of the series with the newest sample; zeros when there is none."""
        found = ((self._head.last(known.id), known.id) for known in catalog.by_name(name))
        return max(((last[0], -id) for last, id in found if last is not None), default=(0, 0))

    def _item(self, name: str, id: int) -> protocol.MetricItem:
        info = catalog.metrics().get(name, catalog.Description())
        known, last = catalog.get(id), self._head.last(id)
        labels = dict(known.labels) if known else {}
        labels.pop("__name__", None)
        return protocol.MetricItem(
            name,
            info.kind,
            info.unit,
            info.help,
            len(catalog.by_name(name)),
            labels,
            last[0] if last else None,
            last[1] if last else None,
        )

    def _spark(self, id: int, now_ms: int) -> list[float | None]:
        """The value at each of the last seconds: the newest sample not after it."""
        steps = now_ms - SPARK_STEP_MS * np.arange(SPARK_POINTS - 1, -1, -1)
        times, values = self._head.read(id, int(steps[0]) - 60_000, now_ms)
        if not len(times):
            return []
        at = np.searchsorted(times, steps, side="right") - 1
        return [float(values[i]) if i >= 0 else None for i in at.tolist()]
