"""accept(): the single door for data, whatever format it came in."""

from __future__ import annotations

import math
from collections.abc import Sequence

from django.db import Error

from metrics import catalog, log
from metrics.columns import Columns
from metrics.models import Source
from metrics.names import LabelError, check_labels, shown, unclean
from metrics.refused import Refused, by_database
from metrics.samples import Accepted, EventSample, Sample
from metrics.threads import beside_loop

__all__ = ["Refused", "aaccept", "accept", "accept_events"]

OLDEST_MS = 946_684_800_000  # 2000-01-01: anything older was meant to be another unit
FUTURE_MS = 600_000  # clocks differ; ten minutes ahead is a mistake
INCREMENT_MOST = 1e300  # so that a running total does not reach infinity, and stay there
ATTEMPTS = 20  # one more for each deletion of series that comes in between
EVENT_TEXT_CHARACTERS = 10_000
EVENT_TITLE_CHARACTERS = 200


def accept(
    samples: Sequence[Sample],
    *,
    now_ms: int,
    source: Source | None = None,
    key: str | None = None,
    body_hash: bytes = b"",
) -> Accepted:
    """Stores samples; returns once they are durable.

    Inside transaction.atomic() they live and die with the transaction. `key` is an
    Idempotency-Key: a request seen before is answered as then and stored once. Raises Refused,
    and then nothing was stored.
    """
    for _ in range(ATTEMPTS):
        entry = _entry(samples, now_ms, _receipt(source, key, body_hash))
        if entry.newcomers:
            entry.know(catalog.look_up(entry.newcomers))
        try:
            return log.append(entry)
        except catalog.Outdated:
            _catch_up()
    raise _restless()


async def aaccept(
    samples: Sequence[Sample],
    *,
    now_ms: int,
    source: Source | None = None,
    key: str | None = None,
    body_hash: bytes = b"",
) -> Accepted:
    """accept() for the event loop, which it does not block."""
    for _ in range(ATTEMPTS):
        entry = _entry(samples, now_ms, _receipt(source, key, body_hash))
        if entry.newcomers:
            entry.know(await beside_loop(catalog.look_up, entry.newcomers))
        try:
            return await log.aappend(entry)
        except catalog.Outdated:
            await beside_loop(_catch_up)
    raise _restless()


def _catch_up() -> None:
    try:
        catalog.catch_up()
    except Error as error:
        raise by_database(error) from error


def _restless() -> Refused:
    return Refused(503, "", "series are being deleted just now: nothing was stored, try again")


def accept_events(
    events: Sequence[EventSample], *, now_ms: int, source: Source | None = None
) -> Accepted:
    """Stores events; as accept()."""
    return log.append(_event_entry(events, now_ms, source))


async def aaccept_events(
    events: Sequence[EventSample],
    *,
    now_ms: int,
    source: Source | None = None,
    receipt: log.Key | None = None,
) -> Accepted:
    """accept_events() for the event loop, which it does not block.

    A `receipt` does what a key does in accept(); its scope is the caller's to choose.
    """
    return await log.aappend(_event_entry(events, now_ms, source, receipt))


def _entry(samples: Sequence[Sample], now_ms: int, receipt: log.Key | None) -> log.Entry:
    """Checks values and times, splits readings from increments, and notes what is not cached."""
    ids: list[int] = []
    times: list[int] = []
    values: list[float] = []
    increments: list[log.Increment] = []
    newcomers: dict[catalog.Key, log.Newcomer] = {}
    latest_ms = now_ms + FUTURE_MS
    generation = catalog.generation()
    cached = catalog.cached
    for index, sample in enumerate(samples):
        value, at_ms = sample.value, sample.time
        if not math.isfinite(value):
            raise Refused(400, f"samples[{index}].value", f"{value}: expected a finite number")
        if at_ms is not None and not OLDEST_MS <= at_ms <= latest_ms:
            raise Refused(400, f"samples[{index}].time", _absurd(at_ms, now_ms))
        known = cached((sample.metric, frozenset(sample.labels.items())))
        if known is None and "" in sample.labels.values():
            known = cached(catalog.key_of(sample.metric, sample.labels))
        newcomer = None if known is not None else _newcomer(newcomers, index, sample)
        id = known.id if known is not None else log.UNKNOWN
        if sample.kind == "increment":
            _check_increment(index, sample)
            increments.append(log.Increment(index, id, value, at_ms))
            if newcomer is not None:
                newcomer.increments.append(increments[-1])
        else:
            if newcomer is not None:
                newcomer.readings.append(len(ids))
            ids.append(id)
            times.append(now_ms if at_ms is None else at_ms)
            values.append(value)
    readings = Columns.of(ids, times, values)
    return log.Entry(
        readings,
        increments,
        now_ms,
        newcomers=newcomers,
        receipt=receipt,
        generation=generation if samples else None,
    )


def _newcomer(
    newcomers: dict[catalog.Key, log.Newcomer], index: int, sample: Sample
) -> log.Newcomer:
    key = catalog.key_of(sample.metric, sample.labels)
    return newcomers.setdefault(key, log.Newcomer(index, sample.kind))


def _check_increment(index: int, sample: Sample) -> None:
    # The sum of a histogram may fall: observations may be negative.
    if sample.value < 0 and not sample.metric.endswith("_sum"):
        raise Refused(
            400, f"samples[{index}].value", f"{sample.value:g}: a counter only grows; expected >= 0"
        )
    if abs(sample.value) > INCREMENT_MOST:
        raise Refused(
            400,
            f"samples[{index}].value",
            f"{sample.value:g}: expected an increment of at most {INCREMENT_MOST:g}",
        )


def _absurd(at_ms: int, now_ms: int) -> str:
    if at_ms > now_ms:
        return f"{at_ms} lies more than 10 minutes ahead of the server's clock ({now_ms} ms)"
    hint = "; this looks like seconds" if OLDEST_MS <= at_ms * 1000 <= now_ms + FUTURE_MS else ""
    return f"{at_ms}: expected milliseconds since 1970, not before the year 2000{hint}"


def _receipt(source: Source | None, key: str | None, body_hash: bytes) -> log.Key | None:
    if key is None:
        return None
    return log.Key(f"source:{source.pk}" if source else "local", key, body_hash)


def _event_entry(
    events: Sequence[EventSample],
    now_ms: int,
    source: Source | None,
    receipt: log.Key | None = None,
) -> log.Entry:
    for index, event in enumerate(events):
        _check_event(f"events[{index}]", event, now_ms)
    nothing = Columns.of((), (), ())
    return log.Entry(nothing, [], now_ms, events=list(events), source=source, receipt=receipt)


def _check_event(item: str, event: EventSample, now_ms: int) -> None:
    if not event.title.strip():
        raise Refused(400, f"{item}.title", "is empty: expected some text")
    for field, text, most in (
        ("title", event.title, EVENT_TITLE_CHARACTERS),
        ("text", event.text, EVENT_TEXT_CHARACTERS),
    ):
        reason = unclean(text, lines=field == "text")
        if reason:
            raise Refused(400, f"{item}.{field}", reason)
        if len(text) > most:
            raise Refused(400, f"{item}.{field}", f"{len(text):,} characters: at most {most:,}")
    try:
        check_labels(dict(event.labels))
    except LabelError as error:
        where = f"{item}.labels" + (f".{shown(error.name)[1:-1]}" if error.name else "")
        raise Refused(400, where, str(error)) from None
    if event.time is not None and not OLDEST_MS <= event.time <= now_ms + FUTURE_MS:
        raise Refused(400, f"{item}.time", _absurd(event.time, now_ms))
