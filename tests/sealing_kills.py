"""A program that seals in child processes and kills each of them at another moment."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

from django.db import connection

from metrics import late, merging, rolling, sealing, settling
from metrics.lease import TTL_MS, Lease
from metrics.sealing import KEEP_SEALED_MS
from tests.sealing_support import (
    NOW_MS,
    START_MS,
    WINDOW,
    Model,
    Sample,
    assert_ends_as,
    assert_rolled_is_true,
    delete_all,
    line,
    make_series,
    model_of,
    put,
    seen,
)

KILLED = 9
KILLS = 200  # on each database
MOST_TURNS = 2000
TURN_MS = max(TTL_MS, KEEP_SEALED_MS) + 1
NEWS_SHARE = 0.5  # of the kills come upon new samples, the others upon what was left undone


class Bomb:
    """Ends this process, with no goodbye, at the n-th moment it is asked."""

    def __init__(self, moments: int) -> None:
        self.left = moments

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            os._exit(KILLED)

    def around_statement(
        self, execute: Callable[..., Any], sql: str, *rest: Any, **options: Any
    ) -> Any:
        self.tick()
        result = execute(sql, *rest, **options)
        self.tick()
        return result

    def around_commit(self, commit: Callable[[], None]) -> Callable[[], None]:
        def counted() -> None:
            self.tick()
            commit()
            self.tick()

        return counted


def work(now_ms: int) -> None:
    """All that changes chunks and batches, once."""
    lease = Lease(clock_ms=lambda: now_ms)
    assert lease.take()
    sealing.seal_slice(now_ms, lease)
    settling.settle_slice(now_ms, lease)
    rolling.roll_slice(now_ms, lease)
    delete_all(now_ms, lease)


def survives(moment: int, now_ms: int) -> bool:
    """Works in a child process that is killed at this moment; whether it was through before."""
    connection.close()
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, KILLED), status
        return status == 0
    status = 1
    try:
        connection.ensure_connection()
        bomb = Bomb(moment)
        connection._commit = bomb.around_commit(connection._commit)  # type: ignore[attr-defined]
        with connection.execute_wrapper(bomb.around_statement):
            work(now_ms)
        status = 0
    finally:
        os._exit(status)


def news(ids: list[int], turn: int) -> list[Sample]:
    """Something new, something late, something corrected and something that came before."""
    gauge, counter = ids
    return [
        *line(gauge, START_MS + 30_000 * (turn % 50), 20, turn),
        *line(counter, START_MS + WINDOW - 10_000, 20, turn),
        (gauge, START_MS + 1000, float(turn)),
        (counter, START_MS + 500 * turn + 1, 3.0),
    ]


def main() -> None:
    """Prints how many were killed, and in how many rounds from the first moment to the last."""
    # As many transactions as there can be.
    merging.UNIT_CHUNKS = rolling.UNIT_ROWS = late.UNIT_SERIES = settling.FIRST_CHUNKS = 1
    sealing.STEP_SAMPLES = 1000
    late.ROW_SAMPLES = 5
    settling.WAIT_MS = 2 * TURN_MS  # so that samples wait through some kills
    ids = make_series("gauge", "counter")
    model: Model = {}
    chance = random.Random(3)
    kills, rounds, moment, now_ms = 0, 0, 1, NOW_MS
    for turn in range(MOST_TURNS):
        if chance.random() < NEWS_SHARE:
            samples = news(ids, turn)
            put(*samples)
            model |= model_of(*samples)
        now_ms += TURN_MS
        through = survives(moment, now_ms)
        assert seen() == model, f"killed at moment {moment}"
        assert_rolled_is_true({ids[1]})
        if not through:
            kills, moment = kills + 1, moment + 1
        else:
            rounds, moment = rounds + 1, 1
        if kills >= KILLS and rounds:
            break
    assert_ends_as(model, {ids[1]}, now_ms + TTL_MS)
    print(kills, rounds)
