"""publish: how Django code and background jobs hand in numbers.

    from metrics import publish

    publish.gauge("queue_length", 17, queue="mail")
    publish.counter("orders_total", region="eu")
    publish.observe("payload_bytes", 1234)
    with publish.timer("import_seconds", job="nightly"): ...
    publish.event("deployed", "version 1.2", app="shop")

Calls return at once: a background thread gathers what comes within a few milliseconds and stores
it; what waits is bounded, flushed at exit, and what had to be dropped is counted (`dropped()`).
Inside transaction.atomic() a call writes with the transaction instead: rolled back means never
published (Django has no async transactions, so the async twins always go by the background).
Wrong names raise ValueError where they are used; a number that is not finite, or what is refused
later, is counted as dropped and logged, and does not disturb the code that measures.

A process that ends by os._exit(), as Celery's worker processes do, calls flush() before.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from django.db import transaction

from metrics import intake
from metrics.clock import now_ms
from metrics.names import check_labels, check_metric
from metrics.publisher import Publisher
from metrics.samples import Accepted, EventSample, Sample

__all__ = [
    "acounter", "aevent", "aflush", "agauge", "aobserve", "counter", "dropped", "event", "flush",
    "gauge", "observe", "record", "timer",
]  # fmt: skip

# Upper bounds of a histogram's buckets, those of Prometheus's client libraries (seconds suit).
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

_publisher = Publisher()
_checked: set[str] = set()
_CHECKED_MOST = 10_000
F = TypeVar("F", bound=Callable[..., Any])


def gauge(name: str, value: float, /, **labels: object) -> None:
    """Publishes a reading of something that goes up and down."""
    sample = Sample(name, float(value), _clean(name, labels), now_ms())
    _put([sample], finite=math.isfinite(value))


def counter(name: str, /, by: float = 1, **labels: object) -> None:
    """Adds to a counter. Correct with many processes, short-lived jobs and retries: the sum is
    made where the samples are stored. Raises ValueError when `by` is negative."""
    if by < 0:
        raise ValueError(f"{name}: a counter only grows; {by} is negative")
    sample = Sample(name, float(by), _clean(name, labels), None, "increment")
    _put([sample], finite=math.isfinite(by))


def observe(
    name: str, value: float, /, *, buckets: Sequence[float] = BUCKETS, **labels: object
) -> None:
    """Adds one observation to a histogram: `name`_bucket{le}, `name`_sum and `name`_count.

    `buckets` are the buckets' upper bounds; the one without a bound is always there.
    """
    _observe(name, value, buckets, _histogram_labels(name, labels))


def _histogram_labels(name: str, labels: dict[str, object]) -> dict[str, str]:
    if "le" in labels:
        raise ValueError(f"{name}: the label le belongs to the histogram's buckets")
    return _clean(f"{name}_bucket", labels)


def _observe(name: str, value: float, buckets: Sequence[float], labels: dict[str, str]) -> None:
    samples = [
        Sample(f"{name}_sum", float(value), labels, None, "increment"),
        Sample(f"{name}_count", 1.0, labels, None, "increment"),
    ]
    for bound in sorted({*map(float, buckets), math.inf}):
        held = 1.0 if value <= bound else 0.0
        bucket = {**labels, "le": _le(bound)}
        samples.append(Sample(f"{name}_bucket", held, bucket, None, "increment"))
    _put(samples, finite=math.isfinite(value))


@functools.lru_cache(1000)
def _le(bound: float) -> str:
    """As Prometheus writes it: every digit, and none too many."""
    return "+Inf" if bound == math.inf else repr(bound).removesuffix(".0")


class timer:
    """Observes how many seconds a block or a function (also an async one) takes.

    with publish.timer("import_seconds", job="nightly"): ...

    @publish.timer("import_seconds")
    def import_all(): ...
    """

    def __init__(self, name: str, /, **labels: object) -> None:
        self._name = name
        self._labels = _histogram_labels(name, labels)
        self._began_s: list[float] = []  # a stack: blocks may nest

    def __enter__(self) -> timer:
        self._began_s.append(time.perf_counter())
        return self

    def __exit__(self, *exc_info: object) -> None:
        seconds = time.perf_counter() - self._began_s.pop()
        _observe(self._name, seconds, BUCKETS, self._labels)

    def _copy(self) -> timer:
        return timer(self._name, **self._labels)

    def __call__(self, function: F) -> F:
        # A timer of its own for each call: calls overlap in threads and tasks.
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def timed_async(*args: Any, **kwargs: Any) -> Any:
                with self._copy():
                    return await function(*args, **kwargs)

            return cast(F, timed_async)

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self._copy():
                return function(*args, **kwargs)

        return cast(F, timed)


def event(title: str, /, text: str = "", **labels: object) -> None:
    """Publishes something that happened; it appears in event lists. Stored before it returns.

    Raises intake.Refused.
    """
    intake.accept_events([_event(title, text, labels)], now_ms=now_ms())


def record(samples: Iterable[Sample], *, wait: bool = True) -> Accepted | None:
    """Stores a batch as it is. With `wait` (the default) it returns once that is durable and says
    what was stored; raises intake.Refused. Without, it joins what the background stores."""
    batch = list(samples)
    if wait:
        return intake.accept(batch, now_ms=now_ms())
    _put(batch)
    return None


def flush(timeout_s: float = 10.0) -> bool:
    """Waits until everything published so far is stored; False when that takes too long."""
    return _publisher.flush(timeout_s)


def dropped() -> int:
    """How many samples this process could not keep (the buffer was full, or they were refused)."""
    return _publisher.dropped


async def agauge(name: str, value: float, /, **labels: object) -> None:
    """gauge() for async code."""
    gauge(name, value, **labels)


async def acounter(name: str, /, by: float = 1, **labels: object) -> None:
    """counter() for async code."""
    counter(name, by, **labels)


async def aobserve(
    name: str, value: float, /, *, buckets: Sequence[float] = BUCKETS, **labels: object
) -> None:
    """observe() for async code."""
    observe(name, value, buckets=buckets, **labels)


async def aevent(title: str, /, text: str = "", **labels: object) -> None:
    """event() for async code: does not block the loop."""
    await intake.aaccept_events([_event(title, text, labels)], now_ms=now_ms())


async def aflush(timeout_s: float = 10.0) -> bool:
    """flush() for async code."""
    return await asyncio.to_thread(flush, timeout_s)


def _put(samples: list[Sample], *, finite: bool = True) -> None:
    if not finite:
        _publisher.drop(len(samples), f"{samples[0].metric}: expected a finite number")
    elif _in_transaction():
        try:
            intake.accept(samples, now_ms=now_ms())
        except intake.Refused as refused:
            _publisher.drop(len(samples), str(refused))
    else:
        _publisher.put(samples)


def _in_transaction() -> bool:
    if not transaction.get_connection().in_atomic_block:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False  # code on an event loop must not touch the database


def _clean(name: str, labels: dict[str, object]) -> dict[str, str]:
    """Labels as text. Raises ValueError for what cannot be a name or a label."""
    clean = {label: str(value) for label, value in labels.items()}
    if name not in _checked:
        check_metric(name)
        if len(_checked) < _CHECKED_MOST:
            _checked.add(name)
    check_labels(clean)
    return clean


def _event(title: str, text: str, labels: dict[str, object]) -> EventSample:
    return EventSample(title, text, {name: str(value) for name, value in labels.items()})
