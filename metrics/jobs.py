"""Housekeeping, by the clock. Sealing and retention will join it."""

from __future__ import annotations

import asyncio
import logging

from django.db import Error

from metrics import commit, log, stats
from metrics.clock import now_ms
from metrics.models import Receipt
from metrics.threads import beside_loop

logger = logging.getLogger(__name__)

INTERVAL_S = 60.0
RECEIPT_MS = 86_400_000  # a request is not retried after a day
OWN_RECEIPT_MS = 1_800_000  # this project's own buffers retry for minutes only


async def run(stop: asyncio.Event) -> None:
    """Looks after the store once a minute until `stop` is set."""
    while not stop.is_set():
        try:
            await beside_loop(once, now_ms())
        except Error as error:
            logger.warning("housekeeping has to wait: %s", error)
        try:
            await asyncio.wait_for(stop.wait(), INTERVAL_S)
        except TimeoutError:
            continue


def once(now: int) -> None:
    """Adds up what a dying process left, forgets old Idempotency-Keys, and measures the log (a
    scan, so not every second)."""
    commit.add_up_deferred()
    Receipt.objects.filter(created_at_ms__lt=now - RECEIPT_MS).delete()
    Receipt.objects.filter(scope="local", created_at_ms__lt=now - OWN_RECEIPT_MS).delete()
    batches, size = log.size()
    stats.set("log_batches", batches)
    stats.set("log_bytes", size)
