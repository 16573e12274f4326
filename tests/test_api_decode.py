"""What a JSON body of samples may be, and how a wrong one is named."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.formats import json_events, json_samples
from metrics.formats.json_samples import MAX_SAMPLES, decode
from metrics.refused import Refused
from metrics.samples import Sample

GOOD = '{"metric": "up", "value": 1}'


def second(sample: str) -> bytes:
    """A body whose first sample is fine and whose second is `sample`."""
    return f'{{"samples": [{GOOD}, {sample}]}}'.encode("utf-8", "surrogatepass")


BAD_BODIES: list[tuple[str | bytes, str, str]] = [
    ("", "body", "empty"),
    ("   ", "body", "empty"),
    ("hello", "body", "not valid JSON"),
    ("[]", "body", "got an array"),
    ("null", "body", "got null"),
    ("NaN", "body", "got NaN"),
    ("{}", "samples", "missing"),
    ("{", "body", "not valid JSON"),
    ('{"samples"}', "samples", "expected :"),
    ('{"samples": [],}', "body", "expected a key"),
    ('{"samples": []} x', "body", "after the closing }"),
    ('{"samples": [], "more": 1}', "more", "unknown field"),
    ('{"samples": [], "samples": []}', "samples", "given twice"),
    ('{"samples": null}', "samples", "got null"),
    ('{"samples": {}}', "samples", "got an object"),
    ('{"samples": [7]}', "samples[0]", "expected an object, got a number"),
    ('{"samples": [[]]}', "samples[0]", "expected an object, got an array"),
    (b"\xff\xfe{}", "body", "not UTF-8 (byte 0)"),
    (b'{"samples": [{"metric": "\xff", "value": 1}]}', "body", "not UTF-8 (byte 25)"),
    ("[" * 100_000, "body", "nested too deeply"),
    ('{"samples": ' + "[" * 100_000, "samples[0]", "nested too deeply"),
]

BAD_SAMPLES: list[tuple[str, str, str]] = [
    ('{"value": 1}', ".metric", "missing"),
    ('{"metric": "a"}', ".value", "missing"),
    ('{"metric": 7, "value": 1}', ".metric", "expected a string, got a number"),
    ('{"metric": null, "value": 1}', ".metric", "expected a string, got null"),
    ('{"metric": "a", "value": "1"}', ".value", "expected a number, got a string"),
    ('{"metric": "a", "value": true}', ".value", "expected a number, got true"),
    ('{"metric": "a", "value": null}', ".value", "expected a number, got null"),
    ('{"metric": "a", "value": [1]}', ".value", "expected a number, got an array"),
    ('{"metric": "a", "value": NaN}', ".value", "NaN cannot be stored"),
    ('{"metric": "a", "value": Infinity}', ".value", "Infinity cannot be stored"),
    ('{"metric": "a", "value": -Infinity}', ".value", "-Infinity cannot be stored"),
    ('{"metric": "a", "value": 1e999}', ".value", "too large"),
    ('{"metric": "a", "value": -1e999}', ".value", "too large"),
    ('{"metric": "a", "value": ' + "9" * 390 + "}", ".value", "too large"),
    ('{"metric": "a", "value": ' + "9" * 5000 + "}", ".value", "cannot be stored"),
    ('{"metric": "a", "value": 01}', "", "not valid JSON"),
    ('{"metric": "a", "value": 1, "lable": 1}', ".lable", "expected metric, labels, value, time"),
    ('{"metric": "a", "value": 1, "odd key": 1}', "['odd key']", "unknown field"),
    ('{"metric": "a", "value": 1, "labels": {"region": 3}}', ".labels.region", "got a number"),
    ('{"metric": "a", "value": 1, "labels": {"region": null}}', ".labels.region", "got null"),
    ('{"metric": "a", "value": 1, "labels": []}', ".labels", "got an array"),
    ('{"metric": "a", "value": 1, "labels": null}', ".labels", "got null"),
    ('{"metric": "a", "value": 1, "labels": "eu"}', ".labels", "got a string"),
    ('{"metric": "a", "value": 1, "time": 1.5}', ".time", "whole milliseconds"),
    ('{"metric": "a", "value": 1, "time": 1e12}', ".time", "whole milliseconds"),
    ('{"metric": "a", "value": 1, "time": "now"}', ".time", "got a string"),
    ('{"metric": "a", "value": 1, "time": true}', ".time", "got true"),
    ('{"metric": "a", "value": 1, "time": 9223372036854775808}', ".time", "beyond 64 bits"),
    ('{"metric": "a", "value": 1, "time": -9223372036854775809}', ".time", "beyond 64 bits"),
    ('{"metric": "a", "value": 1, "kind": "summary"}', ".kind", "gauge, counter or increment"),
    ('{"metric": "a", "value": 1, "kind": null}', ".kind", "got null"),
    ('{"metric": "\\ud800", "value": 1}', ".metric", "lone surrogate"),
    ('{"metric": "\\udc00", "value": 1}', ".metric", "lone surrogate"),
    ('{"metric": "a", "value": 1, "labels": {"k": "\\ud800"}}', ".labels.k", "lone surrogate"),
    ('{"metric": "a", "value": 1, "labels": {"\\ud800": "v"}}', ".labels['", "lone surrogate"),
    ('{"metric": "a\x00", "value": 1}', "", "invalid control character"),
    ('{"metric": "a", "metric": "b", "value": 1}', ".metric", "given twice"),
    ('{"metric": "a", "value": 1, "value": 2}', ".value", "given twice"),
    ('{"metric": "a", "value": 1, "time": 1, "time": 2}', ".time", "given twice"),
    ('{"metric": "a", "value": 1, "kind": "gauge", "kind": "counter"}', ".kind", "given twice"),
    ('{"metric": "a", "value": 1, "kind": "counter", "kind": "gauge"}', ".kind", "given twice"),
    (
        '{"metric": "a", "value": 1, "labels": {"k": "1"}, "labels": {"k": "2"}}',
        ".labels",
        "given twice",
    ),
    ('{"metric": "a", "value": 1, "labels": {"k": "1", "k": "2"}}', ".labels.k", "given twice"),
    ('{"metric": "a", "value": 1, "x": ' + "[" * 100_000, "", "nested too deeply"),
    ('{"metric": "a", "value": 1, "time": ' + "[" * 900 + "]" * 900 + "}", ".time", "an array"),
    ('{"metric": "a", "value": 1, "labels": {"k": "' + "x" * 200_000, "", "longer than 131,072"),
]


@pytest.mark.parametrize(("body", "item", "reason"), BAD_BODIES)
def test_a_wrong_body_is_refused_by_name(body: str | bytes, item: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        decode(body.encode() if isinstance(body, str) else body)
    assert (caught.value.status, caught.value.item) == (400, item)
    assert reason in caught.value.message


@pytest.mark.parametrize(("sample", "item", "reason"), BAD_SAMPLES)
def test_a_wrong_sample_is_refused_by_name(sample: str, item: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        decode(second(sample))
    assert caught.value.status == 400
    assert caught.value.item.startswith(f"samples[1]{item}")
    assert reason in caught.value.message
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_more_samples_than_a_request_may_have_are_refused() -> None:
    body = f'{{"samples": [{", ".join([GOOD] * (MAX_SAMPLES + 1))}]}}'.encode()
    with pytest.raises(Refused) as caught:
        decode(body)
    assert (caught.value.status, caught.value.item) == (413, "samples")


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(Refused) as caught:
        decode(b"[" * 101, 100)
    assert (caught.value.status, caught.value.item) == (413, "body")


def test_a_doubled_key_among_samples_of_other_shapes_is_found() -> None:
    """Keys that others leave out do not hide one that is given twice."""
    doubled = '{"metric": "a", "value": 1, "kind": "gauge", "kind": "counter"}'
    with pytest.raises(Refused) as caught:
        decode(f'{{"samples": [{GOOD}, {doubled}, {GOOD}, {GOOD}]}}'.encode())
    assert caught.value.item == "samples[1].kind"


def test_no_samples_are_no_error() -> None:
    assert decode(b'{"samples": []}') == []
    assert decode(b' { "samples" : [ ] } ') == []


def plain(samples: list[Sample]) -> list[dict[str, Any]]:
    return [msgspec.structs.asdict(sample) for sample in samples]


def test_a_sample_needs_a_metric_and_a_value_only() -> None:
    assert plain(decode(f'{{"samples": [{GOOD}]}}'.encode())) == [
        {"metric": "up", "value": 1.0, "labels": {}, "time": None, "kind": "gauge"}
    ]


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"a": "gauge"},
        {"a": "{}"},
        {"a": "null"},
        {"time": "kind"},
        {"a": 'said "no"'},
        {"ä": "ö\n"},
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("kind", ["gauge", "counter", "increment"])
@pytest.mark.parametrize("time", [None, 1_790_000_000_000])
def test_a_sample_with_every_field_arrives_as_it_was_sent(
    labels: dict[str, str], ascii_only: bool, kind: str, time: int | None
) -> None:
    sample = {"metric": "a", "value": 0.5, "labels": labels, "time": time, "kind": kind}
    body = json.dumps({"samples": [sample, sample]}, ensure_ascii=ascii_only).encode()
    assert plain(decode(body)) == [sample, sample]


def test_an_integer_beyond_64_bits_is_a_fine_value() -> None:
    assert decode(second('{"metric": "a", "value": 36893488147419103232}'))[1].value == 2.0**65


def test_samples_are_what_the_rest_of_the_program_takes() -> None:
    assert all(isinstance(sample, Sample) for sample in decode(second(GOOD)))


def refuses_or_decodes(body: bytes) -> None:
    """Nothing but Refused may come out, with a sentence that can be shown anywhere."""
    for format in (json_samples, json_events):
        try:
            found = format.decode(body)
        except Refused as refused:
            assert refused.status in (400, 413)
            assert refused.item
            assert str(refused).isprintable()
        else:
            assert isinstance(found, list)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_or_decoded(body: bytes) -> None:
    refuses_or_decodes(body)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["gauge", "counter", "x"])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["samples", "events", "metric", "labels", "value", "time", "kind", "title", "a b"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(ANYTHING, st.booleans())
def test_arbitrary_json_is_refused_or_decoded(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    refuses_or_decodes(text.encode("utf-8", "surrogatepass"))
    refuses_or_decodes(f'{{"samples": {text}}}'.encode("utf-8", "surrogatepass"))
    refuses_or_decodes(f'{{"samples": [{GOOD}, {text}]}}'.encode("utf-8", "surrogatepass"))
    refuses_or_decodes(f'{{"events": [{text}]}}'.encode("utf-8", "surrogatepass"))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "metric": st.text(max_size=5),
                "value": st.floats(allow_nan=False, allow_infinity=False),
            },
            optional={
                "labels": st.dictionaries(st.text(max_size=4), st.text(max_size=6), max_size=3),
                "time": st.none() | st.integers(-(2**63), 2**63 - 1),
                "kind": st.sampled_from(["gauge", "counter", "increment"]),
            },
        ),
        max_size=6,
    )
)
def test_every_good_body_is_decoded_to_what_it_says(samples: list[dict[str, Any]]) -> None:
    try:
        found = decode(json.dumps({"samples": samples}, ensure_ascii=False).encode())
    except Refused as refused:  # text that cannot be stored, control characters say
        assert "U+" in refused.message
        return
    assert len(found) == len(samples)
    for got, sent in zip(found, samples, strict=True):
        assert got.metric == sent["metric"]
        assert math.isclose(got.value, sent["value"], rel_tol=1e-15, abs_tol=0)
        assert got.labels == sent.get("labels", {})
        assert got.time == sent.get("time")
        assert got.kind == sent.get("kind", "gauge")


@pytest.mark.parametrize(
    ("event", "item", "reason"),
    [
        ('{"text": "b"}', ".title", "missing"),
        ('{"title": ""}', ".title", "empty"),
        ('{"title": "a\\u0007"}', ".title", "U+0007"),
        ('{"title": "a", "severity": "high"}', ".severity", "expected title, text, labels, time"),
        ('{"title": "a", "title": "b"}', ".title", "given twice"),
        ('{"title": "a", "labels": {"app": 1}}', ".labels.app", "got a number"),
    ],
)
def test_a_wrong_event_is_refused_by_name(event: str, item: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        json_events.decode(f'{{"events": [{{"title": "ok"}}, {event}]}}'.encode())
    assert caught.value.item == f"events[1]{item}"
    assert reason in caught.value.message


def test_an_event_may_have_lines_of_text() -> None:
    [event] = json_events.decode(b'{"events": [{"title": "deployed", "text": "1\\n2"}]}')
    assert (event.title, event.text, event.labels, event.time) == ("deployed", "1\n2", {}, None)
