"""The disk budget: what goes when the database has outgrown it."""

from __future__ import annotations

from typing import Any

import pytest

from metrics import retention, sizes
from metrics.chunks import RESOLUTIONS_MS, SAMPLES
from metrics.lease import Lease
from metrics.models import Chunk, Event
from tests.test_retention import NOW_MS, ages, chunk, lease, make_series

__all__ = ["lease"]  # a fixture


def fit(lease: Lease) -> int:
    return sum(retention.fit(lease, NOW_MS))


@pytest.fixture
def megabytes(lease: Lease, settings: Any) -> int:
    """A database with 40 days of samples and rollups, of about 8 MB; the series."""
    series = make_series()
    for resolution_ms in RESOLUTIONS_MS[:3]:
        days = range(0, 42, 3)
        Chunk.objects.bulk_create(
            chunk(series, resolution_ms, one, size=200_000, rolled=one != 30) for one in days
        )
    return series


def used_megabytes(lease: Lease) -> float:
    sizes.forget()
    for _ in sizes.measure(lease, NOW_MS):
        continue
    measured = sizes.latest()
    assert measured is not None
    return measured.database_bytes / 1e6


def test_without_a_budget_nothing_is_deleted(lease: Lease, megabytes: int) -> None:
    used_megabytes(lease)
    assert fit(lease) == 0
    assert not Event.objects.exists()


def test_a_database_within_its_budget_is_left_alone(
    lease: Lease, megabytes: int, settings: Any
) -> None:
    settings.DISK_BUDGET_MB = round(used_megabytes(lease)) + 2
    assert fit(lease) == 0
    assert not Event.objects.exists()


def test_beyond_the_budget_the_oldest_samples_go_until_it_fits(
    lease: Lease, megabytes: int, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DISK_BUDGET_MB = round(used_megabytes(lease)) - 1
    fit(lease)
    assert used_megabytes(lease) <= settings.DISK_BUDGET_MB
    left = ages()
    assert len(left[10_000]) == len(left[60_000]) == 14
    assert 5 <= len(left[SAMPLES]) < 14
    assert left[SAMPLES][0] == 30, "those that are not rolled up stay"
    assert left[SAMPLES][1:] == [*range(left[SAMPLES][1], -1, -3)]
    assert "has outgrown its budget" in caplog.text
    assert Event.objects.get().title == retention.BUDGET_TITLE


def test_when_samples_are_not_enough_finer_rollups_go_before_coarser_ones(
    lease: Lease, megabytes: int, settings: Any
) -> None:
    settings.DISK_BUDGET_MB = round(used_megabytes(lease)) - 4
    fit(lease)
    left = ages()
    assert left[SAMPLES] == [30, 0], "what is not rolled up, and the newest day"
    assert 1 <= len(left[10_000]) < 14
    assert len(left[60_000]) == 14


def test_a_budget_that_cannot_be_kept_is_said_once_a_day(
    lease: Lease, megabytes: int, settings: Any
) -> None:
    chunk(megabytes, 3_600_000, -90, size=2_000_000).save()
    used_megabytes(lease)
    settings.DISK_BUDGET_MB = 1
    fit(lease)
    assert min(map(len, ages().values())) >= 1
    used_megabytes(lease)
    fit(lease)
    titles = [*Event.objects.order_by("id").values_list("title", flat=True)]
    assert titles == [retention.BUDGET_TITLE, retention.TOO_SMALL_TITLE]
