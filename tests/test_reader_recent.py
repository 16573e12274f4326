"""What a starting process reads, and newest values, where much is sealed already."""

from __future__ import annotations

import pytest

from metrics import reader, warm
from tests.reader_support import HOUR, MINUTE, START_MS, WINDOW, every, make_series, put, seal

pytestmark = pytest.mark.django_db


def test_a_starting_process_reads_chunks_and_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    now = START_MS + HOUR
    monkeypatch.setattr(warm, "now_ms", lambda: now)
    first, second = make_series(), make_series(host="b")
    samples = every(1000, START_MS - HOUR, now)
    for id in (first, second):
        seal(id, samples[:-600])
        put(id, samples[-700:])
    everything = warm.read_recent(now - HOUR, 1_000_000)
    assert everything.since_ms == now - HOUR
    assert everything.columns.series.tolist() == [first] * 3600 + [second] * 3600
    assert everything.columns.times.tolist() == [time for time, _ in samples[3600:]] * 2
    part = warm.read_recent(now - HOUR, 3000)
    assert now - HOUR < part.since_ms < now - 600_000
    assert 1400 <= len(part.columns) <= 3000
    assert part.columns.times.min() == part.since_ms // 1000 * 1000 + 1000


def test_the_newest_value_of_a_quiet_series_comes_from_its_newest_chunk() -> None:
    id, never = make_series(), make_series(host="b")
    seal(id, every(MINUTE, START_MS, START_MS + 2 * WINDOW))
    newest = reader.last([id, never])
    assert newest == {id: (START_MS + 2 * WINDOW, float(239 * 7 % 1009))}
