"""Chunks go in portions, so that whoever waits for the database waits for one portion at most."""

from __future__ import annotations

import pytest

from metrics import deleting, portions
from metrics.clock import now_ms
from metrics.models import Chunk
from tests.support.samples import accept, sample
from tests.test_deleting import chunk, id_of


def test_large_chunks_go_a_few_at_a_time_and_all_of_them(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(sample())
    series = id_of("orders")
    for number in range(7):
        chunk(series, start_ms=number, size=1000)
    deleting.delete_metric("orders")
    monkeypatch.setattr(portions, "MOST_BYTES", 3 * (1000 + portions.ROW_BYTES))
    pieces = [count for count in deleting.sweep(None, now_ms()) if count]
    assert pieces == [3, 3, 1]
    assert not Chunk.objects.exists()


def test_the_keeper_rests_while_what_is_to_go_is_looked_for(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids of many series' chunks take long to read: not in one piece."""
    monkeypatch.setattr(deleting, "SLICE_SERIES", 1)
    accept(*(sample(user=str(number)) for number in range(4)))
    chunk(id_of("orders", user="3"))
    deleting.delete_metric("orders", rest=lambda seconds: None)
    pieces = list(deleting.sweep(None, now_ms()))
    assert sum(pieces) == 1
    assert pieces.index(1) == 4
