"""What a publisher hands in: samples and events, before they have ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Kind = Literal["gauge", "counter", "increment"]


class Sample(msgspec.Struct, forbid_unknown_fields=True):
    """One measurement.

    `time` is in ms since 1970 (None: the moment it is accepted). `kind` says what `value` is:
    a gauge's reading, a counter's cumulative reading, or an increment to add to a counter.
    """

    metric: str
    value: float
    labels: Mapping[str, str] = {}
    time: int | None = None
    kind: Kind = "gauge"


class EventSample(msgspec.Struct, forbid_unknown_fields=True):
    """Something that happened: a deployment, a failed job. `time` as in Sample."""

    title: str
    text: str = ""
    labels: Mapping[str, str] = {}
    time: int | None = None


class Accepted(msgspec.Struct):
    """The answer to a publisher: so many samples are durable.

    `replayed` is true when the same Idempotency-Key was stored before. `totals` holds, per item
    index, the running total after an increment. `warnings` are sentences worth showing.
    """

    stored: int
    replayed: bool = False
    totals: dict[int, float] = {}
    warnings: list[str] = []
