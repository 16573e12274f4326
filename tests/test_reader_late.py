"""Late samples are seen from the moment they are stored, wherever they are on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from metrics import late, lease, reader, rolling, sealing, settling
from metrics.chunks import LATE
from metrics.models import Batch, Chunk, Series
from metrics.moving import export
from metrics.query import EvaluationError, Selector, parse
from metrics.settling import WAIT_MS
from tests.reader_support import (
    HOUR,
    MINUTE,
    START_MS,
    TEN_S,
    WINDOW,
    assert_same,
    every,
    exact,
    interrupted,
    make_series,
    put,
    stored,
)
from tests.sealing_support import NOW_MS, roll_all, seal_all, settle_all
from tests.support.memory_source import Sample

END_MS = START_MS + 4 * WINDOW
HISTORY = every(10_000, START_MS, END_MS)
NEW = (START_MS + WINDOW + 1_234_500, 5000.0)
CORRECTED = (START_MS + 2 * WINDOW + 1_230_000, 7.0)
ALL = sorted((dict(HISTORY) | dict([NEW, CORRECTED])).items())


def with_late_samples() -> int:
    """A series of four windows, rolled up, and two late samples for them that wait."""
    id = make_series()
    put(id, HISTORY)
    seal_all()
    roll_all()
    put(id, [NEW, CORRECTED])
    seal_all()
    assert Chunk.objects.get(resolution_ms=LATE).count == 2
    return id


def samples(id: int, start_ms: int = START_MS, end_ms: int = END_MS) -> list[Sample]:
    times, values = reader.read([id], start_ms, end_ms)[id]
    return [*zip(times.tolist(), values.tolist(), strict=True)]


def test_they_are_among_the_samples(store: str) -> None:
    id = with_late_samples()
    assert samples(id) == ALL
    assert samples(id, NEW[0] - 1, NEW[0]) == [NEW]
    columns = reader.read_all(START_MS, END_MS)
    assert [*zip(columns.times.tolist(), columns.values.tolist(), strict=True)] == ALL
    out = export.of_samples(_selector(), START_MS + 1, END_MS + 1)
    assert [
        one
        for piece in out.pieces
        for one in zip(piece.times.tolist(), piece.values.tolist(), strict=True)
    ] == ALL


@pytest.mark.parametrize("step_ms", [TEN_S, MINUTE, HOUR])
@pytest.mark.parametrize("text", ["x_total", "increase(x_total[2h])"])
def test_they_are_in_every_resolution(store: str, text: str, step_ms: int) -> None:
    with_late_samples()
    times = max(START_MS + HOUR, END_MS - 1000 * step_ms), END_MS, step_ms
    assert_same(stored(text, *times), exact(text, ALL, *times))
    settle_all()
    assert_same(stored(text, *times), exact(text, ALL, *times))


def test_nothing_is_for_export_from_rollups_alone_because_samples_wait(store: str) -> None:
    with_late_samples()
    assert not export.only_rollups_before(_selector())


def test_the_newest_sample_of_a_quiet_series_may_wait(store: str) -> None:
    id, other = make_series(), make_series(host="b")
    put(id, HISTORY[:-1])
    put(other, HISTORY)
    seal_all()
    assert reader.last([id, other]).keys() == {id, other}
    for value in (1.0, 2.0):
        put(id, [(END_MS - 1, value)])
        put(other, [(END_MS - 15_000, value)])
        seal_all()
        newest = reader.last([id, other])
        assert newest == {id: (END_MS - 1, value), other: HISTORY[-1]}
    assert Chunk.objects.filter(resolution_ms=LATE).exists()


def test_where_the_budget_does_not_suffice_they_are_left_out_of_rollups(
    store: str, settings: Any
) -> None:
    with_late_samples()
    times = START_MS + HOUR, END_MS, MINUTE
    settings.SAMPLES_PER_QUERY = 2 * (2 + 2 * 720) - 1
    assert_same(stored("x_total", *times), exact("x_total", HISTORY, *times))
    settings.SAMPLES_PER_QUERY += 1
    assert_same(stored("x_total", *times), exact("x_total", ALL, *times))
    settings.SAMPLES_PER_QUERY = 2 * 720 + 1
    with pytest.raises(EvaluationError, match="at most 1,441 can be read"):
        stored("x_total", START_MS + 1000, END_MS, 1000)


@pytest.mark.django_db
def test_one_that_settles_while_it_is_read_is_seen() -> None:
    shown = START_MS + HOUR, END_MS, MINUTE
    wanted = exact("x_total", ALL, *shown)
    id = with_late_samples()
    before = list(Chunk.objects.all())
    reads: list[Callable[[], None]] = [
        lambda: _assert_equal(samples(id)),
        lambda: _assert_equal(len(reader.read_all(START_MS, END_MS))),
        lambda: assert_same(stored("x_total", *shown), wanted),
    ]
    moments = 0
    for read in reads:
        for number in range(8):
            Chunk.objects.all().delete()
            Chunk.objects.bulk_create(before)
            with interrupted(settle_all, "metrics_chunk", number) as happened:
                read()
            moments += len(happened)
    assert moments >= 8


def _assert_equal(found: object) -> None:
    assert found == (len(ALL) if isinstance(found, int) else ALL)


def _selector() -> Selector:
    (selector,) = parse("x_total").selectors
    return selector


TIMES = [START_MS + at * WINDOW + offset for at in range(3) for offset in (1, 9_999, 60_000)]
ACTION = st.one_of(
    st.lists(
        st.tuples(st.sampled_from(TIMES), st.integers(0, 30).map(float)), min_size=1, max_size=6
    ),
    # What the keeper does, and after how many pieces it is killed.
    st.tuples(st.sampled_from(["seal", "settle", "roll"]), st.integers(1, 6)),
)


def _work(name: str, held: lease.Lease) -> Iterator[object]:
    if name == "seal":
        return sealing.seal(held, NOW_MS, sealing.Sealed())
    if name == "settle":
        return settling.settle(held, NOW_MS + WAIT_MS)
    return rolling.roll(held, NOW_MS)


@pytest.mark.django_db
@hypothesis_settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    actions=st.lists(ACTION, min_size=3, max_size=15),
    share=st.integers(0, 2),
    resolution_ms=st.sampled_from([TEN_S, MINUTE, HOUR]),
)
def test_whatever_the_keeper_does_and_wherever_it_is_killed_all_samples_are_seen_once(
    actions: list[list[Sample] | tuple[str, int]], share: int, resolution_ms: int
) -> None:
    for table in (Batch, Chunk):
        table.objects.all().delete()
    id = Series.objects.values_list("pk", flat=True).first() or make_series()
    model = dict(every(600_000, START_MS, START_MS + 3 * WINDOW))
    put(id, sorted(model.items()))
    with pytest.MonkeyPatch.context() as patch, lease.holding() as held:
        patch.setattr(late, "SHARE", share)
        patch.setattr(late, "ROW_SAMPLES", 3)
        patch.setattr(rolling, "UNIT_ROWS", 3)
        for action in actions:
            if isinstance(action, list):
                put(id, action)
                model |= dict(action)
            else:
                for number, _ in enumerate(_work(action[0], held), 1):
                    if number == action[1]:
                        break
            _assert_all_seen(id, model, resolution_ms)


def _assert_all_seen(id: int, model: dict[int, float], resolution_ms: int) -> None:
    all_ = sorted(model.items())
    assert samples(id) == all_
    end_ms = -(-all_[-1][0] // HOUR) * HOUR
    times = max(START_MS, end_ms - 100 * resolution_ms), end_ms, resolution_ms
    for text in ("x_total", f"increase(x_total[{2 * resolution_ms}ms])"):
        assert_same(stored(text, *times), exact(text, all_, *times))


def test_without_late_samples_a_read_asks_for_them_once(store: str) -> None:
    id = make_series()
    put(id, HISTORY)
    seal_all()
    roll_all()
    for read in (
        lambda: samples(id),
        lambda: stored("x_total", START_MS + HOUR, END_MS, MINUTE),
    ):
        asked: list[str] = []

        def listen(
            execute: Any, sql: str, params: Any, *rest: Any, asked: list[str] = asked
        ) -> Any:
            if '"end_ms" +' in sql:
                asked.append(sql)
            return execute(sql, params, *rest)

        with connection.execute_wrapper(listen):
            read()
        assert len(asked) == 1
