"""Rings and cursors."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import frames
from dashboard import ring as rings
from dashboard.frames import Frame
from dashboard.ring import Ring


def add(ring: Ring, text: str = "x") -> None:
    encoded = '{"type":"update","id":0,"cursor":"%s","text":"%s"}'
    ring.append(lambda cursor: Frame(encoded % (cursor, text), cursor))


def missed(ring: Ring, cursor: str) -> list[str] | None:
    """What a client with this cursor is sent: texts in order; None for a snapshot."""
    seq = ring.position(cursor)
    if seq is None:
        return None
    texts = []
    while (entry := ring.after(seq)) is not None:
        texts.append(json.loads(entry.text(1))["text"])
        seq = entry.seq
    return texts


@pytest.mark.parametrize(
    "cursor",
    [None, "", ":", "e", ":1", "1", "{epoch}", "{epoch}:", "{epoch}:-1", "{epoch}:x", "{epoch}:1 ",
     "{epoch}:²", "{epoch}:٣", "{epoch}:1:1", "{epoch}:99", "{epoch}:" + "9" * 50, "other:1",
     " {epoch}:1"],
)  # fmt: skip
def test_a_cursor_that_is_not_ours_leads_to_a_snapshot(cursor: str | None) -> None:
    ring = Ring()
    add(ring)
    asked = cursor.replace("{epoch}", ring.epoch) if cursor else cursor
    assert ring.position(asked) is None


@given(st.text(max_size=64))
def test_no_cursor_whatsoever_does_harm(cursor: str) -> None:
    ring = Ring()
    assert ring.position(cursor) is None
    assert ring.position(f"{ring.epoch}:{cursor}") in (None, 0)


def test_a_cursor_of_an_earlier_epoch_leads_to_a_snapshot() -> None:
    ring = Ring()
    add(ring)
    before = ring.cursor
    ring.begin()
    add(ring)
    assert ring.position(before) is None
    assert missed(ring, ring.cursor) == []


def test_who_comes_back_gets_exactly_what_was_missed() -> None:
    ring = Ring()
    cursors = [ring.cursor]
    for number in range(5):
        add(ring, str(number))
        cursors.append(ring.cursor)
    for seen, cursor in enumerate(cursors):
        assert missed(ring, cursor) == [str(number) for number in range(seen, 5)]


def test_the_oldest_entries_fall_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "RING_ENTRIES", 3)
    ring = Ring()
    first = ring.cursor
    add(ring, "0")
    second = ring.cursor
    for number in range(1, 4):
        add(ring, str(number))
    assert missed(ring, first) is None
    assert missed(ring, second) == ["1", "2", "3"]


def test_large_entries_fall_off_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "RING_BYTES", 1000)
    ring = Ring()
    before = ring.cursor
    for _ in range(3):
        add(ring, "x" * 400)
    assert missed(ring, before) is None
    add(ring, "x" * 5000)
    assert missed(ring, f"{ring.epoch}:{ring.seq - 1}") == ["x" * 5000], "the newest always stays"


def test_an_entry_carries_the_cursor_that_leads_behind_it() -> None:
    ring = Ring()
    add(ring)
    entry = ring.after(0)
    assert entry is not None
    assert json.loads(entry.text(7)) == {
        "type": "update", "id": 7, "cursor": ring.cursor, "text": "x",
    }  # fmt: skip


def test_readers_of_the_same_watch_id_get_the_very_same_text() -> None:
    frame = Frame('{"type":"update","id":0,"values":[]}', "e:1")
    assert frame.text(3) is frame.text(3)
    assert json.loads(frame.text(3))["id"] == 3
    assert json.loads(frame.text(4))["id"] == 4


def test_finished_texts_are_kept_for_a_few_ids_and_the_newest_entries_only() -> None:
    ring = Ring()
    add(ring)
    first = ring.after(0)
    assert first is not None
    kept = [first.text(id) for id in range(1, 20)]
    assert sum(first.text(id) is text for id, text in enumerate(kept, 1)) == frames.SHARED
    for _ in range(rings.SHARED_ENTRIES):
        add(ring)
    assert first.text(1) is not kept[0]
    assert first.text(1) == kept[0]


def test_labels_that_look_like_an_id_are_left_alone() -> None:
    encoded = '{"type":"snapshot","id":0,"series":[{"labels":{"\\"id\\":0,":"\\"id\\":0,"}}]}'
    assert json.loads(Frame(encoded, "").text(5)) == {
        "type": "snapshot", "id": 5, "series": [{"labels": {'"id":0,': '"id":0,'}}],
    }  # fmt: skip


def test_readers_are_told_of_entries_and_of_a_new_epoch() -> None:
    told: list[str] = []

    class Listener:
        def changed(self) -> None:
            told.append(ring.cursor)

    ring = Ring()
    ring.readers[Listener()] = None
    add(ring)
    ring.begin()
    assert told == [f"{told[0].split(':')[0]}:1", ring.cursor]
