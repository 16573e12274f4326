"""Reading the log back, as history and live queries do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics import catalog, intake, log, reader, warm
from metrics.head import Head
from metrics.models import Batch
from metrics.query import EvaluationError, parse
from metrics.samples import Sample
from tests.support.samples import NOW_MS, accept, sample

pytestmark = pytest.mark.django_db


def at(at_ms: int, value: float, host: str = "a") -> Sample:
    return Sample("load", value, {"host": host}, NOW_MS + at_ms)


def ids() -> dict[str, int]:
    catalog.load()
    return {known.labels["host"]: known.id for known in catalog.by_name("load")}


def select(text: str, start_ms: int = -1000, end_ms: int = 1000) -> dict[str, dict[int, float]]:
    [selector] = parse(text).selectors
    found = reader.Stored().select(selector, NOW_MS + start_ms, NOW_MS + end_ms)
    return {
        one.labels["host"]: dict(
            zip((one.times - NOW_MS).tolist(), one.values.tolist(), strict=True)
        )
        for one in found
    }


def test_a_range_with_too_many_samples_is_refused(settings: Any) -> None:
    settings.SAMPLES_PER_QUERY = 2
    accept(at(1, 1), at(2, 1), at(3, 1))
    with pytest.raises(EvaluationError, match="3 samples, at most 2"):
        select("load")


def test_an_expression_that_picks_too_many_series_is_refused(settings: Any) -> None:
    settings.SERIES_PER_QUERY = 1
    accept(at(1, 1, "a"), at(1, 1, "b"))
    with pytest.raises(EvaluationError, match="picks 2 series, at most 1"):
        select("load")
    assert select('load{host="a"}') == {"a": {1: 1.0}}


def test_nothing_stored_is_nothing_read() -> None:
    assert not reader.read([1, 2], 0, NOW_MS)
    assert len(reader.read_all(0, NOW_MS)) == 0
    assert select("load") == {}


def test_the_start_is_left_out_and_the_end_is_in() -> None:
    accept(at(0, 1), at(10, 2), at(20, 3))
    assert select("load", 0, 10) == {"a": {10: 2.0}}


def test_a_correction_wins_whatever_order_the_log_is_read_in() -> None:
    accept(at(5, 1), at(50, 1))
    accept(at(5, 2), at(5, 3), at(9, 1))
    accept(at(5, 4), at(2, 1))  # the newest batch, with the oldest end
    assert select("load") == {"a": {2: 1.0, 5: 4.0, 9: 1.0, 50: 1.0}}


def test_only_the_wanted_series_are_read() -> None:
    accept(at(1, 1, "a"), at(1, 2, "b"), at(1, 3, "c"))
    by_host = ids()
    found = reader.read([by_host["b"]], 0, NOW_MS + 10)
    assert {id: values.tolist() for id, (_, values) in found.items()} == {by_host["b"]: [2.0]}


def test_the_newest_value_comes_from_the_log_or_from_the_head() -> None:
    from metrics.clock import now_ms

    now = now_ms()
    intake.accept([Sample("load", 7, {"host": "a"}, now - 5)], now_ms=now)
    id = ids()["a"]
    assert reader.last([id, id + 1]) == {id: (now - 5, 7.0)}
    head = Head(now - 1000, span_ms=1000, most_samples=1000)
    reader.use_head(head)
    try:
        assert reader.last([id]) == {}
        head.apply(reader.read_all(now - 1000, now))
        assert reader.last([id]) == {id: (now - 5, 7.0)}
    finally:
        reader.use_head(None)


def test_a_starting_process_reads_less_when_there_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "now_ms", lambda: NOW_MS)
    for at_ms in range(-160_000, 0, 1600):
        accept(at(at_ms, 1))
    everything = warm.read_recent(NOW_MS - 160_000, 1000)
    assert (everything.since_ms, len(everything.columns)) == (NOW_MS - 160_000, 99)
    part = warm.read_recent(NOW_MS - 160_000, 30)
    assert NOW_MS - 160_000 < part.since_ms < NOW_MS
    assert 0 < len(part.columns) <= 30
    assert part.columns.times.min() > part.since_ms


def test_a_starting_process_is_not_held_up_by_samples_of_the_future(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(warm, "now_ms", lambda: NOW_MS)
    accept(*(at(at_ms, 1) for at_ms in range(1, 50)))
    assert len(warm.read_recent(NOW_MS - 1600, 10).columns) == 49


ROWS = st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(0, 9))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(st.lists(ROWS, min_size=1, max_size=8), max_size=6))
def test_the_head_and_the_log_agree(batches: list[list[tuple[str, int, int]]]) -> None:
    Batch.objects.all().delete()
    head = Head(NOW_MS - 1, span_ms=1000, most_samples=1000)
    accept(*(at(-500, 0, host) for host in "abc"))
    before = log.newest_id()
    for rows in batches:
        accept(*(at(at_ms, value, host) for host, at_ms, value in rows))
    for id, columns in sorted(log.read(NOW_MS - 1, NOW_MS + 1000), key=lambda row: row[0]):
        assert id > before
        head.apply(columns)
    stored = reader.read(list(ids().values()), NOW_MS - 1, NOW_MS + 1000)
    for id in ids().values():
        times, values = head.read(id, NOW_MS - 1, NOW_MS + 1000)
        from_log = stored.get(id, (times[:0], values[:0]))
        assert (times.tolist(), values.tolist()) == (from_log[0].tolist(), from_log[1].tolist())


def test_series_made_by_another_process_are_found() -> None:
    accept(at(1, 1))
    catalog.forget()
    assert select("load") == {"a": {1: 1.0}}
    assert accept(sample("load", host="a")).stored == 1
