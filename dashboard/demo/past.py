"""A demo's past, published before it goes on live, so that charts are not empty."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from dashboard.demo.moment import PREFIX, Moment, Simulation
from metrics import intake, publish
from metrics.refused import Refused
from metrics.samples import EventSample, Sample

STEPS = 4320  # at most: a longer past is coarser
LEAST_STEP_MS = 1000
BLOCK_SAMPLES = 10_000  # one commit
EVENTS = 12  # the newest ones are enough: event lists are everybody's
AGAIN_S = 1.0
MAY_HELP = (409, 503)

Say = Callable[[str], None]
Line = tuple[str, tuple[tuple[str, str], ...]]


def step_ms(length_ms: int) -> int:
    """How far the moments of a past of this length lie apart."""
    return max(LEAST_STEP_MS, length_ms // STEPS)


class Past:
    """Moments as samples of their time: counters as the readings that live ones will go on from."""

    def __init__(
        self,
        demo: str,
        simulation: Simulation,
        length_ms: int,
        clock_ms: Callable[[], int],
        say: Say,
    ) -> None:
        self._demo = demo
        self._simulation = simulation
        self._clock_ms = clock_ms
        self._say = say
        self._step_ms = step_ms(length_ms)
        self._at_ms = clock_ms() - length_ms
        self._totals: dict[Line, float] = {}
        self._samples: list[Sample] = []
        self._events: deque[EventSample] = deque(maxlen=EVENTS)
        self.stored = 0

    def reach_now(self, stop: threading.Event) -> None:
        """Stores what lies between and the present, or until `stop` is set; again, what came since.

        Raises Refused where trying again would not help.
        """
        while self._at_ms <= self._clock_ms() and not stop.is_set():
            self._add(self._simulation.step(self._step_ms / 1000), self._at_ms)
            if len(self._samples) >= BLOCK_SAMPLES:
                self._store(stop)
            self._at_ms += self._step_ms
        self._store(stop)

    def end(self, stop: threading.Event) -> None:
        """Hands over to the present: running totals begin where the past ends, so that no counter
        falls. Raises Refused."""
        for (name, labels), total in self._totals.items():
            publish.counter(name, by=total, **dict(labels))
        if events := list(self._events):
            self._try(lambda: intake.accept_events(events, now_ms=self._clock_ms()), stop)

    def _add(self, moment: Moment, at_ms: int) -> None:
        for name, value, labels in moment.gauges:
            self._samples.append(Sample(name, value, labels, at_ms))
        increments = list(moment.increments)
        for observation in moment.observations:
            increments += observation.increments()
        grown: set[Line] = set()
        for name, by, labels in increments:
            line = name, tuple(labels.items())
            grown.add(line)
            self._totals[line] = self._totals.get(line, 0.0) + by
        for name, pairs in grown:
            total = self._totals[name, pairs]
            self._samples.append(Sample(name, total, dict(pairs), at_ms, "counter"))
        for title, text in moment.events:
            self._events.append(EventSample(PREFIX + title, text, {"demo": self._demo}, at_ms))

    def _store(self, stop: threading.Event) -> None:
        """A sample stored twice is the same sample: it may be tried as often as it takes."""
        if samples := self._samples:
            self._samples = []
            if self._try(lambda: publish.record(samples), stop):
                self.stored += len(samples)

    def _try(self, store: Callable[[], object], stop: threading.Event) -> bool:
        """False when it was told to stop before it succeeded."""
        said = False
        while True:
            try:
                store()
                return True
            except Refused as refused:
                if refused.status not in MAY_HELP:
                    raise
                if not said:
                    self._say(f"The past is not stored yet: {refused}")
                said = True
            if stop.wait(AGAIN_S):
                return False
