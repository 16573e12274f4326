"""A demo by the clock: what any background job does with metrics.publish."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from dashboard.demo.moment import PREFIX, Moment, Simulation, Told
from metrics import publish
from metrics.refused import Refused

logger = logging.getLogger(__name__)

EVENTS_WAITING = 20  # while they cannot be stored: the newest are kept


def publish_moment(moment: Moment) -> int:
    """Hands everything but events to the background, which stores it; how many samples."""
    for name, value, labels in moment.gauges:
        publish.gauge(name, value, **labels)
    for name, by, labels in moment.increments:
        publish.counter(name, by=by, **labels)
    for name, value, bounds in moment.observations:
        publish.observe(name, value, buckets=bounds)
    observed = sum(len(one.bounds) + 3 for one in moment.observations)
    return len(moment.gauges) + len(moment.increments) + observed


class Live:
    """Steps simulations `rate` times a second and publishes what they say.

    While the database cannot be reached, metrics.publish keeps what comes and tries again; what
    its buffer cannot hold is counted by publish.dropped().
    """

    def __init__(self, simulations: Mapping[str, Simulation], rate: float) -> None:
        self._simulations = simulations
        self._period_s = 1 / rate
        self._events: deque[tuple[str, Told]] = deque(maxlen=EVENTS_WAITING)
        self.published = 0

    def run(self, stop: threading.Event, after_step: Callable[[], None]) -> None:
        """Until `stop` is set. A step that was missed is skipped, never made up for."""
        due_s = time.monotonic()
        while not stop.wait(max(0.0, due_s - time.monotonic())):
            self.step()
            after_step()
            due_s = max(due_s + self._period_s, time.monotonic())

    def step(self) -> None:
        for demo, simulation in self._simulations.items():
            moment = simulation.step(self._period_s)
            self.published += publish_moment(moment)
            self._events.extend((demo, event) for event in moment.events)
        self._tell()

    def _tell(self) -> None:
        """Stores the events; what cannot be stored now is tried again with the next step."""
        while self._events:
            demo, (title, text) = self._events[0]
            try:
                publish.event(PREFIX + title, text, demo=demo)
            except Refused as refused:
                logger.warning("An event waits: %s", refused)
                return
            self._events.popleft()
