"""{"events": [...]} as JSON, the body of POST /api/v1/events. Pure: bytes in, events out."""

from __future__ import annotations

import msgspec

from metrics.formats.json_fields import (
    labels_field,
    text_field,
    time_field,
)
from metrics.formats.json_walk import (
    MAX_BODY_BYTES,
    Field,
    Shape,
    check_body,
    check_size,
    too_many,
)
from metrics.refused import Refused
from metrics.samples import EventSample

MAX_EVENTS = 1_000

SHAPE = Shape(
    envelope="events",
    noun="event",
    fields={
        "title": Field(text_field(empty=False), required=True),
        "text": Field(text_field(lines=True)),
        "labels": Field(labels_field),
        "time": Field(time_field),
    },
    max_items=MAX_EVENTS,
)


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    events: list[EventSample]


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, most_bytes: int = MAX_BODY_BYTES) -> list[EventSample]:
    """The events of a JSON body, in its order; raises Refused as `json_samples.decode` does.

    Events are few, so every body is also walked for doubled keys and unclean text.
    """
    check_size(body, most_bytes)
    check_body(body, SHAPE)
    try:
        events = _decoder.decode(body).events
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, "body", f"cannot be read: {error}") from None
    if len(events) > MAX_EVENTS:
        raise too_many(SHAPE)
    return events
