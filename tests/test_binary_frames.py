"""The binary form of snapshots and updates, and several updates in one."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import binary_frames, protocol
from dashboard.binary_frames import HEADER, SNAPSHOT, UPDATE, Grid, decode, encode, encode_message
from dashboard.conflation import merge
from dashboard.frames import TEXT, Form, GridFrame, server_frame
from tests.live_support import Shown, read
from tests.support.environment import ROOT

NO_LIMIT = 1 << 40
EPOCH = "9d0700e3"

numbers = st.floats(width=64)
labels = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)


@st.composite
def grids(draw: Any, kind: int | None = None) -> Grid:
    rows, columns = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    kinds = st.sampled_from([SNAPSHOT, UPDATE]) if kind is None else st.just(kind)

    def block() -> Any:
        values = draw(st.lists(numbers, min_size=rows * columns, max_size=rows * columns))
        return np.array(values, np.float64).reshape(rows, columns)

    times = draw(st.lists(st.integers(0, 2**53), min_size=columns, max_size=columns))
    added = [protocol.Line(one) for one in draw(st.lists(labels, max_size=rows))]
    band = (block(), block()) if draw(st.booleans()) else None
    step_ms = draw(st.integers(10, 10**9))
    return Grid(draw(kinds), np.array(times, np.int64), block(), added, step_ms, band)


def message(**changes: Any) -> bytes:
    """A valid one of two rows and one column, with some of its header changed."""
    grid = Grid(UPDATE, np.array([1000], np.int64), np.array([[1.5], [2.5]]), [], 1000)
    fields = ["version", "kind", "flags", "id", "rows", "columns", "length", "epoch", "seq", "step"]
    encoded = encode(grid, f"{EPOCH}:1", 1)
    held = dict(zip(fields, HEADER.unpack_from(encoded), strict=True)) | changes
    return HEADER.pack(*held.values()) + encoded[HEADER.size :]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\1\1", message()[:39], message()[:-1], message() + b"\0", message(rows=3),
        message(columns=2), message(length=1), message(flags=1), message(rows=2**32 - 1),
        message(version=2), message(version=0), message(kind=3), message(kind=0),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected|too short|tells of"):
        decode(data)


@given(st.binary(max_size=200))
def test_decoding_whatever_comes_gives_a_frame_or_a_value_error(data: bytes) -> None:
    try:
        decode(data)
    except ValueError as refused:
        assert str(refused)


@given(grids(), st.integers(1, 2**31 - 1), st.integers(0, 2**53), st.booleans())
def test_both_forms_tell_the_same(grid: Grid, id: int, seq: int, conflated: bool) -> None:
    frame = GridFrame(grid, f"{EPOCH}:{seq}")
    binary = read(frame.made(id, Form.BINARY, conflated))
    text = read(frame.made(id, Form.JSON, conflated))
    assert binary == text
    assert isinstance(binary, protocol.Snapshot | protocol.Update)
    assert (binary.id, binary.conflated) == (id, conflated)
    assert binary.cursor == f"{EPOCH}:{seq}"


@given(grids(), st.integers(1, 2**31 - 1), st.booleans())
def test_encoding_once_for_all_ids_is_encoding_for_each(
    grid: Grid, id: int, conflated: bool
) -> None:
    cursor = f"{EPOCH}:7"
    assert GridFrame(grid, cursor).made(id, Form.BINARY, conflated) == encode(
        grid, cursor, id, conflated
    )


@given(grids(), st.integers(1, 1000))
def test_a_server_frame_is_a_header_and_the_message(grid: Grid, id: int) -> None:
    frame = GridFrame(grid, f"{EPOCH}:7")
    for plain, framed, first in (
        (Form.JSON, Form.JSON_FRAMED, 0x81), (Form.BINARY, Form.BINARY_FRAMED, 0x82),
    ):  # fmt: skip
        payload, wire = frame.made(id, plain), frame.made(id, framed)
        payload = payload.encode() if isinstance(payload, str) else payload
        assert isinstance(wire, bytes)
        assert wire.endswith(payload) and wire[0] == first
        size = wire[1] if wire[1] < 126 else int.from_bytes(wire[2 : len(wire) - len(payload)])
        assert size == len(payload)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_the_length_of_a_server_frame_takes_as_many_bytes_as_it_needs(size: int) -> None:
    extra = 0 if size < 126 else 2 if size < 65_536 else 8
    assert len(server_frame(TEXT, b"x" * size)) == 2 + extra + size


def test_the_examples_are_what_they_are_said_to_be() -> None:
    for one in json.loads((ROOT / "tests/examples/binary.json").read_text()):
        data = base64.b64decode(one["base64"])
        frame = read(json.dumps(one["frame"]))
        assert decode(data) == frame
        assert isinstance(frame, protocol.Snapshot | protocol.Update)
        assert encode_message(frame) == data


def test_the_layout_on_the_page_is_that_of_the_header() -> None:
    offsets = [int(at) for at, _, _ in binary_frames.LAYOUT if at.isdigit()]
    sizes = {"u8": 1, "u16": 2, "u32": 4, "f64": 8}
    at = 0
    for offset, kind, _ in binary_frames.LAYOUT[: len(offsets) - 1]:
        assert int(offset) == at
        at += sizes[kind]
    assert at == HEADER.size == offsets[-1]
    assert at % 8 == 0


def test_no_cursor_is_none() -> None:
    grid = Grid(SNAPSHOT, np.empty(0, np.int64), np.empty((0, 0)), [], 1000)
    assert decode(encode(grid, "")).cursor == ""


@st.composite
def streams(draw: Any) -> list[Grid]:
    """Updates as a live query makes them: rows only grow, times may come again."""
    known, updates = 0, []
    for _ in range(draw(st.integers(1, 8))):
        new = draw(st.integers(0, 2))
        known += new
        times = sorted(draw(st.sets(st.integers(0, 6), max_size=4)))
        shape = (known, len(times))
        values = np.array(
            draw(st.lists(numbers, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
        ).reshape(shape)
        band = (values - 1, values + 1) if draw(st.booleans()) else None
        added = [protocol.Line({"row": str(known - new + one)}) for one in range(new)]
        updates.append(Grid(UPDATE, np.array(times, np.int64) * 1000, values, added, 1000, band))
    return updates


@settings(max_examples=300)
@given(streams(), st.data())
def test_who_gets_updates_merged_shows_in_the_end_what_the_others_show(
    updates: list[Grid], data: Any
) -> None:
    cut = data.draw(st.integers(0, len(updates) - 1))
    one_by_one, conflated = Shown(), Shown()
    for number, update in enumerate(updates):
        one_by_one.take(decode(encode(update, f"{EPOCH}:{number}")))
        if number < cut:
            conflated.take(decode(encode(update, f"{EPOCH}:{number}")))
    merged = merge(updates[cut:], NO_LIMIT)
    assert merged is not None
    conflated.take(decode(encode(merged, f"{EPOCH}:{len(updates) - 1}")))
    assert conflated.labels == one_by_one.labels
    assert conflated.cursor == one_by_one.cursor
    assert conflated.since(0) == one_by_one.since(0)
    assert conflated.band_since(0) == one_by_one.band_since(0)
    assert len(set(merged.times.tolist())) == len(merged.times), "each time once"


def test_what_would_be_larger_than_a_snapshot_is_not_merged() -> None:
    update = Grid(UPDATE, np.arange(10), np.zeros((10, 10)), [], 1000)
    assert merge([update, update], 8 * 10 * 20) is not None
    assert merge([update, update], 8 * 10 * 20 - 1) is None
