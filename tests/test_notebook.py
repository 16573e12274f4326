"""What people with notebooks get."""

from __future__ import annotations

import sys
import types
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from metrics import notebook
from metrics.models import Series
from metrics.query import EvaluationError, ExpressionError
from tests.reader_support import HOUR, MINUTE, START_MS, WINDOW, make_series, put, roll, seal
from tests.support.memory_source import Sample

pytestmark = pytest.mark.django_db


@pytest.fixture
def samples() -> list[Sample]:
    """A minute's distance, in chunks and in the log; of two series."""
    held = [(START_MS + at * MINUTE, float(at)) for at in range(1, 121)]
    for host in ("a", "b"):
        id = make_series("load", "gauge", host=host)
        seal(id, held[:90])
        put(id, held[90:])
    return held


@pytest.mark.parametrize("moment", ["yesterday", "-6", "-6x", "", "6h"])
def test_what_is_no_moment_is_refused(moment: str) -> None:
    with pytest.raises(ValueError, match="is no moment: expected a datetime"):
        notebook.read("load", moment)


@pytest.mark.parametrize("step", ["1 minute", "", "0s", 0, -5, timedelta(0)])
def test_what_is_no_step_is_refused(step: Any) -> None:
    with pytest.raises(ValueError, match="is no length of time"):
        notebook.read("load", "-1h", step=step)


def test_a_start_after_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the start \(-1h\) is not before the end \(-2h\)"):
        notebook.read("load", "-1h", "-2h")


def test_a_function_without_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a step such as 1m"):
        notebook.read("rate(load[5m])", "-1h")


def test_a_wrong_expression_is_refused() -> None:
    with pytest.raises(ExpressionError):
        notebook.read("load{", "-1h")


def test_more_samples_than_may_be_read_are_refused(samples: list[Sample], settings: Any) -> None:
    settings.SAMPLES_PER_QUERY = 100
    with pytest.raises(EvaluationError, match="at most 100 can be read"):
        notebook.read("load", START_MS, START_MS + WINDOW)


def test_samples_come_as_they_were_published(samples: list[Sample]) -> None:
    lines = notebook.read('load{host="a"}', START_MS, START_MS + WINDOW)
    line = lines['load{host="a"}']
    assert list(lines) == [line.name]
    assert line.labels == {"__name__": "load", "host": "a"}
    assert line.times.dtype == np.dtype("datetime64[ms]")
    assert line.times.astype(int).tolist() == [time for time, _ in samples]
    assert line.values.tolist() == [value for _, value in samples]


def test_series_are_read_as_the_database_gives_them(samples: list[Sample]) -> None:
    alike = make_series("load", "gauge", host="a", rack="7")
    put(alike, [(START_MS + MINUTE, 5.0)])
    one = Series.objects.get(labels={"host": "a"})
    for step in (None, "1m"):
        lines = notebook.read(one, START_MS, START_MS + MINUTE, step)
        assert {name: line.values.tolist() for name, line in lines.items()} == {
            'load{host="a"}': [1.0]
        }
    every = notebook.read(Series.objects.filter(metric__name="load"), START_MS, START_MS + MINUTE)
    assert list(every) == ['load{host="a",rack="7"}', 'load{host="a"}', 'load{host="b"}']


def test_steps_are_aligned_and_answered_from_rollups_where_samples_are_gone() -> None:
    id = make_series("done_total")
    held = [(START_MS + at * 1000, 2.0 * at) for at in range(1, 7201)]
    roll(id, held)
    lines = notebook.read("rate(done_total[10m])", START_MS, START_MS + WINDOW, step="30m")
    [line] = lines.values()
    assert (line.name, line.labels) == ("{}", {})
    half_hour = 30 * MINUTE
    steps = [START_MS + half_hour * at for at in (1, 2, 3, 4)]
    assert line.times.astype(int).tolist() == steps
    assert line.values == pytest.approx([2.0] * 4)


def test_moments_are_taken_in_every_usual_form() -> None:
    now = 1_790_000_000_000
    noon = 1_769_860_800_000
    assert notebook.moment_ms("now", now) == now
    assert notebook.moment_ms("-1h30m", now) == now - HOUR - 30 * MINUTE
    assert notebook.moment_ms("-1y", now) == now - 365 * 24 * HOUR
    for said in (
        noon,
        np.datetime64("2026-01-31T12:00"),
        "2026-01-31T12:00",
        "2026-01-31T12:00Z",
        "2026-01-31T13:00+01:00",
        datetime(2026, 1, 31, 12),
        datetime(2026, 1, 31, 12, tzinfo=UTC),
        datetime(2026, 1, 31, 13, tzinfo=timezone(timedelta(hours=1))),
    ):
        assert notebook.moment_ms(said, now) == noon, said
    assert notebook.moment_ms("2026-01-31", now) == noon - 12 * HOUR


def test_without_pandas_a_frame_is_refused_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pandas"):
        notebook.frame("load", "-1h")


def test_a_frame_has_a_column_for_each_series(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    pandas = types.SimpleNamespace(
        Series=lambda values, index: (index, values.tolist()),
        DatetimeIndex=lambda times, tz: (tz, times.astype(int).tolist()),
        DataFrame=lambda columns: types.SimpleNamespace(rename_axis=lambda name: (name, columns)),
    )
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    found = notebook.frame("load", START_MS, START_MS + 2 * MINUTE)
    column = (("UTC", [time for time, _ in samples[:2]]), [1.0, 2.0])
    assert found == ("time", {'load{host="a"}': column, 'load{host="b"}': column})
