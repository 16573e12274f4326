"""When to measure: at whole seconds of the wall clock, once each, never in a burst.

Waiting is left to the caller, who waits on the monotonic clock for `wait_s` and then asks `stamp`
for the time of the sample. Both take the wall clock's ms, so a test needs no clock at all.
"""

from __future__ import annotations


class Schedule:
    """The multiples of `interval_ms`, one after the other; those missed are skipped.

    Follows the wall clock when it is set: forward skips, far back begins again there.
    """

    def __init__(self, interval_ms: int) -> None:
        if interval_ms <= 0:
            raise ValueError(f"interval_ms is {interval_ms}: expected more than 0")
        self._interval_ms = interval_ms
        self._last_ms: int | None = None

    def next_ms(self, now_ms: int) -> int:
        """The next time to measure, later than now and than the last one given by stamp()."""
        upcoming = self._floor(now_ms) + self._interval_ms
        if self._last_ms is not None and 0 <= self._last_ms - upcoming < self._interval_ms:
            return self._last_ms + self._interval_ms
        return upcoming

    def wait_s(self, now_ms: int) -> float:
        """Seconds from `now_ms` until the next time to measure."""
        return (self.next_ms(now_ms) - now_ms) / 1000

    def stamp(self, due_ms: int, now_ms: int) -> int:
        """The sample time of a measurement that was due at `due_ms` and is made at `now_ms`.

        That is `due_ms`, unless the machine slept or its clock was set meanwhile.
        """
        late_ms = now_ms - due_ms
        # Timers may fire a moment early, so "a little before" still means due_ms.
        if not -self._interval_ms < late_ms < self._interval_ms:
            due_ms = self._floor(now_ms)
        self._last_ms = due_ms
        return due_ms

    def _floor(self, now_ms: int) -> int:
        return now_ms - now_ms % self._interval_ms
