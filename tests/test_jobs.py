"""Housekeeping."""

from __future__ import annotations

import asyncio

import pytest
from django.db import DatabaseError

from metrics import jobs, stats
from metrics.models import Receipt
from tests.support.samples import NOW_MS, accept, sample
from tests.support.waiting import aeventually


def receipts() -> set[str]:
    return set(Receipt.objects.values_list("key", flat=True))


def test_a_database_that_fails_does_not_end_housekeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def fail_once(now: int) -> None:
        calls.append(now)
        if len(calls) == 1:
            raise DatabaseError("gone")

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(jobs.run(stop))
        await aeventually(lambda: len(calls) >= 3)
        stop.set()
        await task

    monkeypatch.setattr(jobs, "once", fail_once)
    monkeypatch.setattr(jobs, "INTERVAL_S", 0.01)
    asyncio.run(run())
    assert calls == sorted(calls)


def test_receipts_are_kept_for_a_day_and_our_own_for_minutes(store: str) -> None:
    accept(sample(), key="own")
    accept(sample(), key="young", now_ms=NOW_MS + 2 * jobs.OWN_RECEIPT_MS)
    Receipt.objects.create(
        scope="source:1", key="a client's", body_hash=b"", stored=1, created_at_ms=NOW_MS
    )
    jobs.once(NOW_MS + 2 * jobs.OWN_RECEIPT_MS)
    assert receipts() == {"young", "a client's"}
    jobs.once(NOW_MS + jobs.RECEIPT_MS + 1)
    assert receipts() == set()


def test_the_log_is_measured(store: str) -> None:
    accept(sample(), sample(n="2"))
    jobs.once(NOW_MS)
    gauges = stats.snapshot().gauges
    assert (gauges["log_batches"], gauges["log_bytes"]) == (1, 40)
