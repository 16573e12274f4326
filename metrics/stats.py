"""What this process counts about itself: counters, gauges and recent durations.

No dependency, no I/O and no clock but the one given, so that the log, the hub and the connections
can use it on their hot paths. Every name is bound to one use:

    stats.inc("frames_sent_total", 12)              # only ever grows
    stats.set("connections", 3)                     # the last value counts
    stats.register_gauge("head_samples", head.size) # asked when somebody looks
    stats.observe("commit_seconds", 0.004)          # quantiles over the last 10 s

Safe from any thread. `dashboard/selfmetrics.py` publishes a snapshot each second as
`pulseboard_<name>`.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

logger = logging.getLogger(__name__)

WINDOW_S = 10.0
WINDOW_OBSERVATIONS = 4096  # per name: bounds memory when observations come by the thousand


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything counted, at one moment. `windows` hold (seconds, how often), ascending."""

    counters: Mapping[str, float]
    gauges: Mapping[str, float]
    windows: Mapping[str, Sequence[tuple[float, int]]]

    def quantile(self, name: str, share: float) -> float | None:
        """The observation that `share` (0..1) of those in the window do not exceed.

        None when nothing was observed lately.
        """
        window = self.windows.get(name, ())
        wanted = math.ceil(share * sum(times for _, times in window))
        for seconds, times in window:
            wanted -= times
            if wanted <= 0:
                return seconds
        return None


class Stats:
    """One set of counters. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counters: dict[str, float] = {}
        self._gauges: dict[str, float] = {}
        self._askable: dict[str, Callable[[], float | None]] = {}
        self._windows: dict[str, deque[tuple[float, float, int]]] = {}
        self._failed: list[str] = []  # names whose failure was logged

    def inc(self, name: str, by: float = 1) -> None:
        """Adds `by` (not negative) to a counter, which begins at 0."""
        with self._lock:
            self._counters[name] = self._counters.get(name, 0) + by

    def set(self, name: str, value: float) -> None:
        """Sets a gauge."""
        with self._lock:
            self._gauges[name] = value

    def observe(self, name: str, seconds: float, times: int = 1) -> None:
        """Remembers a duration for WINDOW_S; of many, the last WINDOW_OBSERVATIONS.

        `times`: how many took that long, which makes one observation of them.
        """
        with self._lock:
            window = self._windows.get(name)
            if window is None:
                window = self._windows[name] = deque(maxlen=WINDOW_OBSERVATIONS)
            window.append((self._clock(), seconds, times))

    def register_gauge(self, name: str, ask: Callable[[], float | None]) -> None:
        """Has `ask` called at every snapshot, from its thread; None means "no value now".

        Registering a name again replaces what was there.
        """
        with self._lock:
            self._askable[name] = ask
            if name in self._failed:
                self._failed.remove(name)

    def unregister_gauge(self, name: str) -> None:
        """Forgets a gauge; no matter whether it was set, registered or unknown."""
        with self._lock:
            self._askable.pop(name, None)
            self._gauges.pop(name, None)

    def snapshot(self, now: float | None = None) -> Snapshot:
        """Everything as it is at `now` (seconds of this object's clock)."""
        oldest = (self._clock() if now is None else now) - WINDOW_S
        with self._lock:
            counters = dict(self._counters)
            gauges = dict(self._gauges)
            askable = list(self._askable.items())
            for window in self._windows.values():
                while window and window[0][0] < oldest:
                    window.popleft()
            recent = {name: list(window) for name, window in self._windows.items() if window}
        # Outside the lock: a callback may itself count something, or be slow.
        for name, ask in askable:
            value = self._asked(name, ask)
            if value is not None:
                gauges[name] = value
        windows = {
            name: sorted((seconds, times) for _, seconds, times in window)
            for name, window in recent.items()
        }
        return Snapshot(counters, gauges, windows)

    def reset(self) -> None:
        """Back to nothing counted (for tests); registered gauges stay."""
        with self._lock:
            self._counters.clear()
            self._gauges.clear()
            self._windows.clear()

    def _asked(self, name: str, ask: Callable[[], float | None]) -> float | None:
        try:
            return ask()
        except Exception:
            if name not in self._failed:
                self._failed.append(name)
                logger.exception("The gauge %s could not be asked and is left out.", name)
            return None


_process = Stats()


def _after_fork() -> None:
    """Another thread may have held the lock while this process was forked."""
    _process._lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)

inc = _process.inc
set = _process.set
observe = _process.observe
register_gauge = _process.register_gauge
unregister_gauge = _process.unregister_gauge
snapshot = _process.snapshot
reset = _process.reset
