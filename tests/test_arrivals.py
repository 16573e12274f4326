"""Batches that arrive in whatever order leave the head as the log would have it."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import arrivals
from dashboard.arrivals import Arrivals
from metrics.bell import Committed
from metrics.columns import Columns
from metrics.head import Head

EPOCH_MS = 1_790_000_000_000

stored = st.lists(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), max_size=4), min_size=1, max_size=6
)


def batch(id: int, samples: list[tuple[int, int]]) -> Committed:
    """A batch whose values tell which one they come from."""
    rows = [(series, EPOCH_MS + time, float(id)) for series, time in samples]
    return Committed(id, Columns.of(*zip(*rows, strict=True)) if rows else Columns.of((), (), ()))


def head_after(batches: list[Committed]) -> dict[tuple[int, int], float]:
    head = Head(0, span_ms=1000, most_samples=1000)
    order = Arrivals()
    for committed in batches:
        if not order.is_known(committed):
            for part in order.take(committed):
                head.apply(part)
    return {
        (series, int(time)): float(value)
        for series in range(1, 4)
        for time, value in zip(*head.read(series, 0, EPOCH_MS + 10), strict=True)
    }


@given(stored, st.randoms(use_true_random=False))
def test_the_later_batch_counts_in_whatever_order_they_arrive(
    log: list[list[tuple[int, int]]], random: Any
) -> None:
    batches = [batch(id, samples) for id, samples in enumerate(log, 1)]
    arriving = batches + random.sample(batches, len(batches) // 2)
    random.shuffle(arriving)
    assert head_after(arriving) == head_after(batches)


def test_all_orders_of_three_batches_with_one_sample_end_the_same() -> None:
    batches = [batch(id, [(1, 1)]) for id in (1, 2, 3)]
    for order in permutations(batches):
        assert head_after(list(order)) == {(1, EPOCH_MS + 1): 3.0}


def test_what_is_remembered_of_batches_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "KEPT_BATCHES", 10)
    monkeypatch.setattr(arrivals, "KEPT_SAMPLES", 15)
    order = Arrivals()
    for id in range(1, 101):
        order.take(batch(id, [(1, id), (2, id)]))
    assert len(order._kept) == len(order._ids) == 7
    assert order.is_known(batch(100, [])) and not order.is_known(batch(1, []))
