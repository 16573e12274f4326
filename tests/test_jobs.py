"""Housekeeping."""

from __future__ import annotations

from metrics import jobs, stats
from metrics.models import Receipt
from tests.support.samples import NOW_MS, accept, sample


def receipts() -> set[str]:
    return set(Receipt.objects.values_list("key", flat=True))


def test_receipts_are_kept_for_a_day_and_our_own_for_minutes(store: str) -> None:
    accept(sample(), key="own")
    accept(sample(), key="young", now_ms=NOW_MS + 2 * jobs.OWN_RECEIPT_MS)
    Receipt.objects.create(
        scope="source:1", key="a client's", body_hash=b"", stored=1, created_at_ms=NOW_MS
    )
    jobs.forget_receipts(NOW_MS + 2 * jobs.OWN_RECEIPT_MS)
    assert receipts() == {"young", "a client's"}
    jobs.forget_receipts(NOW_MS + jobs.RECEIPT_MS + 1)
    assert receipts() == set()


def test_the_log_is_measured(store: str) -> None:
    accept(sample(), sample(n="2"))
    jobs.measure_log(NOW_MS)
    gauges = stats.snapshot().gauges
    assert (gauges["log_batches"], gauges["log_bytes"]) == (1, 40)
