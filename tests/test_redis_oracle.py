"""The judge of the fault tests finds what it is there to find: each fault is planted once."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard import protocol
from tests.support.fleet import STEP_MS, Watcher
from tests.support.product import Product

BEGAN_MS = 1_790_000_000_000
TIMES = [BEGAN_MS + step * STEP_MS for step in range(5)]
STORED = {"one": dict(zip(TIMES, (1.0, 2.0, 3.0, 4.0, 5.0), strict=True))}


def snapshot(values: list[float | None], by: str = "one") -> protocol.Snapshot:
    line = protocol.Line({"__name__": "orders", "by": by})
    return protocol.Snapshot(1, [line], TIMES, [values], STEP_MS, "")


def watcher(tmp_path: Path, frame: protocol.Snapshot) -> Watcher:
    made = Watcher(Product(tmp_path), "")
    made.shown.take(frame)
    return made


def test_what_is_right_passes(tmp_path: Path) -> None:
    assert watcher(tmp_path, snapshot([1.0, 2.0, 3.0, 4.0, 5.0])).shows(STORED)


@pytest.mark.parametrize(
    "planted",
    [
        lambda: snapshot([1.0, 2.0, 3.0, 4.0, 4.0]),  # the last update is missing
        lambda: snapshot([1.0, 2.0, 2.0, 4.0, 5.0]),  # one in the middle is
        lambda: snapshot([1.0, None, 3.0, 4.0, 5.0]),
        lambda: snapshot([1.0, 2.0, 3.0, 4.0, math.pi]),  # what nobody published
        lambda: snapshot([1.0, 2.0, 3.0, 4.0, 5.0], by="two"),
    ],
)
def test_what_is_wrong_does_not(tmp_path: Path, planted: Callable[[], protocol.Snapshot]) -> None:
    with pytest.raises(AssertionError):
        watcher(tmp_path, planted()).shows(STORED)


def test_a_chart_that_is_not_there_yet_does_not_either(tmp_path: Path) -> None:
    stored = {"one": {**STORED["one"], TIMES[-1] + 1: 6.0}}
    with pytest.raises(AssertionError, match="not there yet"):
        watcher(tmp_path, snapshot([1.0, 2.0, 3.0, 4.0, 5.0])).shows(stored)
