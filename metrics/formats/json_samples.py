"""{"samples": [...]} as JSON, the body of POST /api/v1/samples. Pure: bytes in, samples out.

Only the shape and the types are looked at here. Whether a name is allowed and a time plausible
is for `metrics.intake`, once for all formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, cast, get_args

import msgspec

from metrics.formats.json_fields import (
    INT64_MAX,
    choice_field,
    labels_field,
    number_field,
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
from metrics.samples import Kind, Sample

MAX_SAMPLES = 10_000

SHAPE = Shape(
    envelope="samples",
    noun="sample",
    fields={
        "metric": Field(text_field(), required=True),
        "labels": Field(labels_field),
        "value": Field(number_field, required=True),
        "time": Field(time_field),
        "kind": Field(choice_field(*get_args(Kind))),
    },
    max_items=MAX_SAMPLES,
)

# Equal to "gauge" yet another object, so that a kind left out can be told from a kind given.
_KIND_LEFT_OUT = cast(Kind, "".join(("gau", "ge")))
_Time = Annotated[int, msgspec.Meta(ge=-INT64_MAX - 1, le=INT64_MAX)]


class _Sample(Sample, forbid_unknown_fields=True):
    labels: Mapping[str, str] = {}
    time: _Time | None = None
    kind: Kind = _KIND_LEFT_OUT


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    samples: list[_Sample]


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, most_bytes: int = MAX_BODY_BYTES) -> list[Sample]:
    """The samples of a JSON body, in its order; an empty list is no error.

    Raises Refused, whose item names the place (`samples[3].labels.region`), when the body is not
    JSON in UTF-8, has another shape, unknown or doubled keys, a wrong type, a number that is not
    finite, a lone surrogate, more than MAX_SAMPLES samples, or more than `most_bytes`.
    """
    check_size(body, most_bytes)
    try:
        samples = _decoder.decode(body).samples
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        check_body(body, SHAPE)
        raise Refused(400, "body", f"cannot be read: {error}") from None
    if len(samples) > MAX_SAMPLES:
        raise too_many(SHAPE)
    if _strings_in(body) != _strings_of(samples, body):
        check_body(body, SHAPE)
    return cast(list[Sample], samples)


def _strings_in(body: bytes) -> int:
    """How many strings, keys included, the text holds; -1 when escaped quotes hide it."""
    return -1 if b'\\"' in body else body.count(b'"') // 2


def _strings_of(samples: list[_Sample], body: bytes) -> int:
    """How many strings a body must hold that says these samples and no key twice.

    A decoder keeps the last of two equal keys and is silent about the other; but the other's
    strings are still in the text. Counting them is a hundred times cheaper than a second parse.
    Where a label's value happens to upset the count, the slow walk decides.
    """
    labels = [len(sample.labels) for sample in samples]
    bare = labels.count(0)
    timeless = [sample.time for sample in samples].count(None)
    kinds = sum([sample.kind is not _KIND_LEFT_OUT for sample in samples])
    count = 1 + 5 * len(samples) + 2 * sum(labels) - bare - timeless + 2 * kinds
    if bare:
        count += min(bare, body.count(b"{}"))
    if timeless:
        count += min(timeless, body.count(b"null"))
    return count
