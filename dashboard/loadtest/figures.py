"""What a load test counts: latencies in a histogram, and what was missing or out of order."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from dashboard.loadtest.wire import SNAPSHOT, Look

EARLIEST_MS = 1e12  # in 2001
NO_REASON = {1006: "no close frame came; so it is for one that did not read"}
LEAST_MS = 0.01
FINENESS = math.log(1.02)  # a bucket is 2 % wide, so a quantile is right to 1 %
BUCKETS = math.ceil(math.log(1e9) / FINENESS)  # to LEAST_MS times 1e9, which is months


class Latencies:
    """A histogram of so many milliseconds that takes the same memory however many there are."""

    def __init__(self) -> None:
        self.count = 0
        self.most_ms = 0.0
        self._counts = [0] * BUCKETS

    def add(self, ms: float) -> None:
        bucket = int(math.log(ms / LEAST_MS) / FINENESS) if ms > LEAST_MS else 0
        self._counts[min(bucket, BUCKETS - 1)] += 1
        self.count += 1
        self.most_ms = max(self.most_ms, ms)

    def quantile(self, share: float) -> float:
        """In ms; 0 when there is nothing."""
        wanted = max(1, math.ceil(share * self.count))
        found = 0
        for bucket, count in enumerate(self._counts):
            found += count
            if found >= wanted:
                middle_ms = LEAST_MS * math.exp((bucket + 0.5) * FINENESS)
                return min(middle_ms, self.most_ms)
        return 0.0


@dataclass
class Tally:
    """What all clients together have seen. `shown` counts values, of which `stale` came in a
    snapshot or while catching up after a reconnect, and are in no latency."""

    whole: Latencies = field(default_factory=Latencies)
    second: Latencies = field(default_factory=Latencies)  # since the last line of progress
    shown: int = 0
    stale: int = 0
    gaps: int = 0
    steps_back: int = 0
    conflated: int = 0
    snapshots: int = 0
    reconnects: int = 0
    frames_before: int = 0  # of sockets that are closed
    bytes_before: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    reasons: dict[int, str] = field(default_factory=dict)  # the first for each code

    def closed(self, code: int, reason: str) -> None:
        self.codes[code] += 1
        self.reasons.setdefault(code, reason or NO_REASON.get(code, ""))

    def late(self, ms: float) -> None:
        self.whole.add(ms)
        self.second.add(ms)


class Trail:
    """What one client has seen of one watch, kept over reconnects."""

    __slots__ = ("_epoch", "_seq", "_time_ms", "begins", "newest", "shown")

    def __init__(self) -> None:
        # After a snapshot or a reconnect all that was missed comes as one update, unmarked.
        self.begins = True
        self.newest = -math.inf  # the value, which is when it was published, in ms
        self.shown = 0
        self._epoch = ""
        self._seq = 0
        self._time_ms = -math.inf

    @property
    def cursor(self) -> str:
        return f"{self._epoch}:{self._seq}" if self._epoch else ""

    def take(self, look: Look, tally: Tally) -> float | None:
        """Counts a frame; its value if that is one this client has not seen before."""
        self._order(look, tally)
        if not look.value > EARLIEST_MS:  # none, or somebody else's, which is no time of sending
            return None
        if look.time_ms < self._time_ms:
            return None  # a correction of an older step: its value may be older too
        self._time_ms = look.time_ms
        if look.value < self.newest:
            tally.steps_back += 1
        if look.value <= self.newest:
            return None
        self.newest = look.value
        self.shown += 1
        return look.value

    def _order(self, look: Look, tally: Tally) -> None:
        tally.conflated += look.conflated
        if look.kind == SNAPSHOT:
            tally.snapshots += 1
            if look.epoch == self._epoch and look.seq < self._seq:
                tally.steps_back += 1
        elif look.epoch != self._epoch:
            tally.gaps += 1
        elif look.seq <= self._seq:
            tally.steps_back += 1
        elif look.seq > self._seq + 1 and not (look.conflated or self.begins):
            tally.gaps += look.seq - self._seq - 1
        self.begins = look.kind == SNAPSHOT
        self._epoch, self._seq = look.epoch, look.seq


def never_came(sent_ms: Sequence[float], newest: float) -> int:
    """How many of the values sent are newer than the newest that was seen; `sent_ms` ascends."""
    return len(sent_ms) - bisect.bisect_right(sent_ms, newest)
