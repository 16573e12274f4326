"""The recent samples of this process, in memory, per series and in order of time.

Owned by the hub's event loop: other threads may only ask for last() values.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np

from metrics.columns import Columns, Floats, Ints

FIRST_CAPACITY = 16


class Recent:
    """One series: ascending, unique times."""

    __slots__ = ("_count", "_first", "_times", "_values")

    def __init__(self) -> None:
        self._times: Ints = np.empty(FIRST_CAPACITY, np.int64)
        self._values: Floats = np.empty(FIRST_CAPACITY, np.float64)
        self._first = 0
        self._count = 0  # samples lie at _first.._first + _count

    def __len__(self) -> int:
        return self._count

    @property
    def times(self) -> Ints:
        return self._times[self._first : self._first + self._count]

    @property
    def values(self) -> Floats:
        return self._values[self._first : self._first + self._count]

    @property
    def newest_ms(self) -> int:
        return int(self._times[self._first + self._count - 1]) if self._count else -1

    def add(self, time_ms: int, value: float, since_ms: int) -> None:
        """Adds or corrects one sample; drops those not after `since_ms` when it needs room."""
        end = self._first + self._count
        if self._count and time_ms <= self._times[end - 1]:
            self._merge(np.array([time_ms], np.int64), np.array([value]), since_ms)
            return
        if end == len(self._times):
            self._make_room(1, since_ms)
            end = self._first + self._count
        self._times[end] = time_ms
        self._values[end] = value
        self._count += 1

    def extend(self, times: Ints, values: Floats, since_ms: int) -> None:
        """Adds samples whose times ascend (equal ones: the last wins)."""
        if len(times) > 1 and (times[1:] == times[:-1]).any():
            keep = np.append(times[1:] != times[:-1], True)
            times, values = times[keep], values[keep]
        if self._count and times[0] <= self.newest_ms:
            self._merge(times, values, since_ms)
            return
        if self._first + self._count + len(times) > len(self._times):
            self._make_room(len(times), since_ms)
        end = self._first + self._count
        self._times[end : end + len(times)] = times
        self._values[end : end + len(times)] = values
        self._count += len(times)

    def _merge(self, times: Ints, values: Floats, since_ms: int) -> None:
        """Late and corrected samples: only what lies after the oldest of them is sorted anew."""
        at = int(np.searchsorted(self.times, times[0]))
        all_times = np.concatenate((self.times[at:], times))
        all_values = np.concatenate((self.values[at:], values))
        order = np.argsort(all_times, kind="stable")
        all_times, all_values = all_times[order], all_values[order]
        keep = np.append(all_times[1:] != all_times[:-1], True)
        self._count = at
        self.extend(all_times[keep], all_values[keep], since_ms)

    def _make_room(self, wanted: int, since_ms: int) -> None:
        old = int(np.searchsorted(self.times, since_ms, side="right"))
        self._first += old
        self._count -= old
        need = self._count + wanted
        capacity = len(self._times)
        # At most half full after moving: moving stays rare, memory within four times the samples.
        while capacity < 2 * need:
            capacity *= 2
        while capacity > max(FIRST_CAPACITY, 4 * need):
            capacity //= 2
        times, values = self.times, self.values
        self._times = np.empty(capacity, np.int64)
        self._values = np.empty(capacity, np.float64)
        self._times[: self._count] = times
        self._values[: self._count] = values
        self._first = 0


class Head:
    """Every sample with time > `since_ms`, of every series.

    `since_ms` moves on with the clock, and faster when there are more than `most_samples`.
    """

    def __init__(self, since_ms: int, *, span_ms: int, most_samples: int) -> None:
        self.since_ms = since_ms
        self._span_ms = span_ms
        self._most = most_samples
        self._series: dict[int, Recent] = {}
        self._samples = 0
        self._lock = threading.Lock()  # last() must not see a series while it is rearranged
        self.newest_ms = 0

    def apply(self, columns: Columns) -> None:
        """Adds a batch, in any order of times and series."""
        with self._lock:
            self._apply(columns)

    def _apply(self, columns: Columns) -> None:
        if not len(columns):
            return
        if columns.times.min() <= self.since_ms:
            columns = columns.take(columns.times > self.since_ms)
            if not len(columns):
                return
        self.newest_ms = max(self.newest_ms, int(columns.times.max()))
        if len(columns) == 1:
            self._add_each(columns.series.tolist(), columns.times.tolist(), columns.values.tolist())
            return
        order = np.lexsort((columns.times, columns.series))
        series, times, values = (
            columns.series[order], columns.times[order], columns.values[order],
        )  # fmt: skip
        starts = np.flatnonzero(np.append(True, series[1:] != series[:-1]))
        if len(starts) == len(series):
            self._add_each(series.tolist(), times.tolist(), values.tolist())
            return
        ends = np.append(starts[1:], len(series))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            recent = self._of(int(series[start]))
            before = len(recent)
            recent.extend(times[start:end], values[start:end], self.since_ms)
            self._samples += len(recent) - before

    def _add_each(self, series: list[int], times: list[int], values: list[float]) -> None:
        since_ms = self.since_ms
        for id, time_ms, value in zip(series, times, values, strict=True):
            recent = self._of(id)
            before = recent._count
            recent.add(time_ms, value, since_ms)
            self._samples += recent._count - before

    def _of(self, id: int) -> Recent:
        recent = self._series.get(id)
        if recent is None:
            recent = self._series[id] = Recent()
        return recent

    def read(self, id: int, start_ms: int, end_ms: int) -> tuple[Ints, Floats]:
        """Samples with start_ms < time <= end_ms; views, valid until the next apply()."""
        recent = self._series.get(id)
        if recent is None:
            return np.empty(0, np.int64), np.empty(0, np.float64)
        times = recent.times
        first = int(np.searchsorted(times, start_ms, side="right"))
        last = int(np.searchsorted(times, end_ms, side="right"))
        return times[first:last], recent.values[first:last]

    def last(self, id: int) -> tuple[int, float] | None:
        """(time, value) of a series' newest sample; any thread."""
        with self._lock:
            recent = self._series.get(id)
            if recent is None or not len(recent):
                return None
            return recent.newest_ms, float(recent.values[-1])

    def expire(self, now_ms: int) -> None:
        """Moves `since_ms` on; the memory of a series is given back when it next grows."""
        with self._lock:
            since_ms = max(self.since_ms, now_ms - self._span_ms)
            if self._samples > self._most:
                self._drop_until(since_ms)
            while self._samples > self._most and since_ms < now_ms:
                since_ms += max(1000, (now_ms - since_ms) // 4)
                self._drop_until(since_ms)
            self.since_ms = since_ms
            for id in [id for id, one in self._series.items() if one.newest_ms <= since_ms]:
                self._samples -= len(self._series.pop(id))

    def _drop_until(self, since_ms: int) -> None:
        for recent in self._series.values():
            before = len(recent)
            recent._make_room(0, since_ms)
            self._samples -= before - len(recent)

    def drop(self, ids: Iterable[int]) -> None:
        """Forgets these series."""
        with self._lock:
            for id in ids:
                if id in self._series:
                    self._samples -= len(self._series.pop(id))

    def samples(self) -> int:
        """How many are held, those that expired lately included."""
        return self._samples

    def series(self) -> Iterable[int]:
        return self._series.keys()

    def __len__(self) -> int:
        return len(self._series)
