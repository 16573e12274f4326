"""Small words for making samples, and the two kinds of part that need a memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from metrics.names import LABEL_VALUE_CHARACTERS, unclean
from metrics.samples import Kind, Sample

Part = Callable[[int], Iterable[Sample]]
"""Measures one subject at a time in ms; what it cannot measure here it leaves out or raises."""


def gauge(metric: str, value: float, now_ms: int, **labels: str) -> Sample:
    """A reading that may go up and down."""
    return _sample("gauge", metric, value, now_ms, labels)


def counter(metric: str, value: float, now_ms: int, **labels: str) -> Sample:
    """The cumulative reading of something that only grows."""
    return _sample("counter", metric, value, now_ms, labels)


def _sample(kind: Kind, metric: str, value: float, now_ms: int, labels: dict[str, str]) -> Sample:
    clean = {name: _label_value(value) for name, value in labels.items()}
    return Sample(metric=metric, value=float(value), labels=clean, time=now_ms, kind=kind)


def _label_value(text: str) -> str:
    # A mount point may hold any byte; one that the intake refuses would cost the whole second.
    if unclean(text):
        text = text.encode("unicode_escape").decode("ascii")
    return text[:LABEL_VALUE_CHARACTERS]


class Seldom:
    """A part that is measured at most once per `every_ms`, because it is slow or hardly changes."""

    def __init__(self, part: Part, every_ms: int) -> None:
        self._part = part
        self._every_ms = every_ms
        self._last_ms: int | None = None

    def __call__(self, now_ms: int) -> Iterable[Sample]:
        # abs(): a clock that was set back must not silence the part until it catches up.
        if self._last_ms is not None and abs(now_ms - self._last_ms) < self._every_ms:
            return ()
        self._last_ms = now_ms
        return self._part(now_ms)


class Ratchet:
    """Holds counters that step back a little, which would read as a restart from zero.

    Linux's iowait and idle seconds do that now and then. A larger step back is believed: the
    processor was switched off and on again.
    """

    def __init__(self, largest_step: float) -> None:
        self._largest_step = largest_step
        self._highest: dict[tuple[str, str], float] = {}

    def held(self, key: tuple[str, str], value: float) -> float:
        """`value`, or the highest before it when it is only a little lower."""
        highest = self._highest.get(key, value)
        if highest - self._largest_step < value < highest:
            return highest
        self._highest[key] = value
        return value
