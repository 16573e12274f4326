"""The live protocol's definition, and what is made from it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import protocol
from dashboard.close_codes import TERMINAL
from dashboard.protocol_examples import CLIENT_EXAMPLES, SERVER_EXAMPLES
from dashboard.protocol_files import CLIENT, SERVER, files, schema
from tests.live_support import as_json, read
from tests.support.environment import ROOT

WATCH = {"type": "watch", "id": 1, "expr": "x", "range_ms": 60_000, "step_ms": 1000}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
frame_like = st.builds(
    lambda base, changes: base | changes,
    st.sampled_from([as_json(frame) for frame in CLIENT_EXAMPLES]),
    st.dictionaries(
        st.sampled_from(["type", "id", "expr", "range_ms", "cursor", "token", "more"]), anything
    ),
)


def refusal(message: Any) -> str:
    text = message if isinstance(message, str) else json.dumps(message)
    with pytest.raises(ValueError) as refused:
        protocol.decode(text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("", "not a JSON message"),
        ("{", "not a JSON message"),
        ('{"type":"unwatch","id":1} {}', "not a JSON message"),
        ('"\ud800"', "not a JSON message"),
        ([], "expected object"),
        ({}, "missing required field type"),
        ({"type": "subscribe"}, "type: invalid value 'subscribe': expected one of hello, watch"),
        ({"type": 5}, "type: expected str"),
        ({"type": "unwatch"}, "missing required field id"),
        ({"type": "unwatch", "id": "1"}, "id: expected int, got str"),
        ({"type": "unwatch", "id": 0}, "id: expected int >= 1"),
        ({"type": "unwatch", "id": 2**31}, "id: expected int <= 2147483647"),
        ({"type": "unwatch", "id": 1, "why": "?"}, "unknown field why"),
        (WATCH | {"expr": None}, "expr: expected str, got null"),
        (WATCH | {"expr": "x" * 4001}, "expr: expected str of length <= 4000"),
        (WATCH | {"range_ms": 10}, "range_ms: expected int >= 1000"),
        (WATCH | {"step_ms": 1.5}, "step_ms: expected int, got float"),
        (WATCH | {"end_ms": -1}, "end_ms: expected int"),
        (WATCH | {"cursor": "c" * 65}, "cursor: expected str"),
        ({"type": "watch_events", "id": 1, "limit": 1001}, "limit: expected int <= 1000"),
        ({"type": "hello", "token": ["pb_"]}, "token: expected str, got array"),
    ],
)
def test_a_message_that_is_not_understood_is_refused_by_the_name_of_its_field(
    message: Any, sentence: str
) -> None:
    assert sentence.lower() in refusal(message).lower()


def test_a_refusal_is_short_however_long_the_nonsense() -> None:
    assert len(refusal({"type": "x" * 50_000})) < 400
    assert len(refusal({"type": "unwatch", "id": 1, "x" * 50_000: 1})) < 400


def test_deep_nesting_is_refused() -> None:
    assert refusal("[" * 60_000)
    assert refusal('{"type":"unwatch","id":' + "[" * 60_000)


@given(st.text() | st.binary() | anything.map(json.dumps))
def test_decoding_whatever_comes_gives_a_frame_or_a_value_error(message: str | bytes) -> None:
    try:
        frame = protocol.decode(message)
    except ValueError as refused:
        assert str(refused)
    else:
        assert type(frame) in CLIENT


@given(frame_like)
def test_what_is_nearly_a_frame_is_one_or_is_refused(message: dict[str, Any]) -> None:
    try:
        frame = protocol.decode(json.dumps(message))
    except ValueError as refused:
        assert str(refused)
    else:
        # What is left out has its default; all that was said is kept.
        assert message.items() <= as_json(frame).items()


@pytest.mark.parametrize("frame", CLIENT_EXAMPLES, ids=lambda frame: type(frame).__name__)
def test_every_example_of_a_client_is_understood(frame: protocol.ClientMessage) -> None:
    assert protocol.decode(msgspec.json.encode(frame)) == frame


@pytest.mark.parametrize("frame", SERVER_EXAMPLES, ids=lambda frame: type(frame).__name__)
def test_every_example_of_the_server_survives_the_way(frame: protocol.ServerMessage) -> None:
    assert read(protocol.encode(frame)) == frame


def test_there_is_an_example_of_every_frame() -> None:
    assert {type(frame) for frame in CLIENT_EXAMPLES} == set(CLIENT)
    assert {type(frame) for frame in SERVER_EXAMPLES} == set(SERVER)


def test_the_example_file_holds_what_both_sides_understand() -> None:
    held = json.loads((ROOT / "tests/examples/frames.json").read_text())
    said = [protocol.decode(json.dumps(frame)) for frame in held["client"]]
    heard = [read(json.dumps(frame)) for frame in held["server"]]
    assert said == list(CLIENT_EXAMPLES)
    assert heard == list(SERVER_EXAMPLES)


@pytest.mark.parametrize("name", files())
def test_a_made_file_is_as_it_would_be_made_now(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == files()[name], "run manage.py protocol"


def test_a_value_that_is_not_there_is_null() -> None:
    nan, infinity = float("nan"), float("inf")
    text = protocol.encode(protocol.Update(1, [1000, 2000, 3000], [[nan, infinity, 1.5]], "e:1"))
    assert json.loads(text)["values"] == [[None, None, 1.5]]


def test_the_schema_names_every_frame_with_its_fields() -> None:
    definitions = schema()["$defs"]
    for frame in (*CLIENT, *SERVER):
        said = definitions[frame.__name__]
        assert set(frame.__struct_fields__) | {"type"} == set(said["properties"])
    for side, frames in (("client", CLIENT), ("server", SERVER)):
        named = {one["$ref"].rsplit("/", 1)[1] for one in definitions[side]["anyOf"]}
        assert named == {frame.__name__ for frame in frames}


def test_the_page_for_people_tells_every_frame_and_close_code() -> None:
    page = files()["docs/protocol.md"]
    for frame in (*CLIENT, *SERVER):
        assert f"### {frame.__struct_config__.tag}\n" in page
    for code in protocol.Close:
        assert f"| {int(code)} | {code.name} |" in page


def test_close_codes_after_which_nobody_comes_back_by_himself() -> None:
    assert sorted(map(int, TERMINAL)) == [4401, 4403, 4404]
