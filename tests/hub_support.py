"""A hub in the test's own event loop, over the test database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dashboard import hub as hubs
from dashboard.hub import Hub
from metrics import catalog, intake
from metrics.clock import now_ms
from metrics.samples import Sample


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    catalog.forget()
    running = await hubs.get()
    yield running
    await running.stop()
    catalog.forget()


async def publish(metric: str, value: float, at_ms: int | None = None, **labels: str) -> None:
    await intake.aaccept([Sample(metric, value, labels, at_ms)], now_ms=now_ms())
