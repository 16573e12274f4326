"""A year on SQLite and PostgreSQL, as a page asks for it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from dashboard import protocol
from dashboard.pictures import Pictures
from metrics import notebook, reader, rolling, sealing
from metrics.models import Chunk, Series
from metrics.query import parse
from tests.live_support import read
from tests.reader_support import (
    DAY,
    HOUR,
    MINUTE,
    START_MS,
    assert_same,
    exact,
    make_series,
    put,
    roll,
    seal,
    stored,
)
from tests.support.memory_source import Sample

pytestmark = pytest.mark.usefixtures("store")

SPIKE_MS = START_MS - 200 * DAY + 1_234_000


@pytest.fixture
def year() -> list[Sample]:
    """A reading every ten minutes, all of it equal but for one second; its newest not sealed."""
    times = range(START_MS - 365 * DAY, START_MS + HOUR + 1, 10 * MINUTE)
    samples = dict.fromkeys(times, 5.0) | {SPIKE_MS: 99.0, SPIKE_MS + 1000: 5.0}
    held = sorted(samples.items())
    id = make_series("load", "gauge")
    roll(id, [one for one in held if one[0] <= START_MS])
    seal(id, [one for one in held if START_MS - 2 * DAY < one[0] <= START_MS], rolled=True)
    put(id, [one for one in held if one[0] > START_MS])
    return held


def test_a_page_of_a_year_shows_a_spike_of_one_second(year: list[Sample]) -> None:
    with ThreadPoolExecutor(1) as readers:
        pictures = Pictures(readers)
        past = pictures.past(parse("load"), 365 * DAY, START_MS + HOUR, 12 * HOUR)
        frame = read(asyncio.run(past).text(1))
    assert isinstance(frame, protocol.Snapshot)
    assert {value for value in frame.values[0] if value is not None} == {5.0}
    assert frame.high is not None
    [spike] = [time for time, high in zip(frame.times, frame.high[0], strict=True) if high == 99.0]
    assert spike - 12 * HOUR < SPIKE_MS <= spike
    assert frame.low == frame.values


def test_sqlite_is_opened_once_by_a_thread_that_draws_and_anew_when_a_picture_failed(
    year: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def note(connection: BaseDatabaseWrapper, **_: object) -> None:
        opened.append(connection.vendor)

    with ThreadPoolExecutor(1) as readers:
        pictures = Pictures(readers)

        def draw(step_ms: int) -> None:
            past = pictures.past(parse("load"), 10 * DAY, START_MS + HOUR, step_ms)
            assert isinstance(read(asyncio.run(past).text(1)), protocol.Snapshot)

        connection_created.connect(note)
        try:
            for hours in (1, 2, 3):
                draw(hours * HOUR)
            assert opened.count("sqlite") <= 1
            before = len(opened)
            with monkeypatch.context() as broken, pytest.raises(TypeError):
                broken.setattr(reader, "matching", None)
                draw(4 * HOUR)
            draw(4 * HOUR)
            assert len(opened) == before + 1
        finally:
            connection_created.disconnect(note)


def test_samples_and_rollups_make_one_line(year: list[Sample]) -> None:
    [line] = notebook.read("load", START_MS - 10 * DAY, START_MS + HOUR, step="1h").values()
    assert line.values.tolist() == [5.0] * (10 * 24 + 1)
    [line] = notebook.read("load", START_MS - 2 * DAY, START_MS + HOUR).values()
    assert line.values.tolist() == [5.0] * (2 * 24 * 6 + 6)
    id = Series.objects.get().pk
    assert reader.last([id, id + 1]) == {id: (START_MS, 5.0)}


def test_what_sealing_and_rolling_made_is_read_as_it_was_published() -> None:
    id = make_series()
    held = [(START_MS + 1000 * at, float(at * 7 % 1009)) for at in range(1, 5 * 3600)]
    late = [(START_MS + 1_800_500, 3.0), (START_MS + 1_801_000, 5.0)]
    everything = sorted((dict(held) | dict(late)).items())
    times = START_MS + HOUR, START_MS + 5 * HOUR, MINUTE
    seen: list[Sample] = []
    for part in (held[:9000], held[9000:16000], late, held[16000:]):
        put(id, part)
        seen = sorted((dict(seen) | dict(part)).items())
        for step in (sealing.seal_slice, rolling.roll_slice, lambda now_ms: None):
            for text in ("x_total", "rate(x_total[5m])"):
                assert_same(stored(text, *times), exact(text, seen, *times))
            if part != held[16000:]:
                step(START_MS + 8 * HOUR)
    assert seen == everything
    assert Chunk.objects.filter(rolled=True).exists()
