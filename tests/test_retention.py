"""Retention: what is too old goes, by whole chunks, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from metrics import keep, retention
from metrics.chunks import DAMAGED, RESOLUTIONS_MS, SAMPLES, WINDOW_MS, window_of
from metrics.keep import DAY_MS
from metrics.lease import Lease, LeaseLost
from metrics.models import Chunk, Event, Generation, Metric, Receipt, Series
from metrics.models import Lease as LeaseRow
from metrics.portions import FEWEST, MOST, TARGET_S, Portion
from tests.sealing_support import (
    START_MS,
    WINDOW,
    line,
    put,
    roll_all,
    rolled,
    seal_all,
    settle_all,
)
from tests.sealing_support import make_series as make_counted_series

NOW_MS = 1_790_000_000_000
DEFAULTS = {0: 14, 10_000: 30, 60_000: 365, 3_600_000: 0}
OWN_DAYS = st.one_of(st.none(), st.sampled_from([0, 1, 8, 14, 30, 400]))


@pytest.fixture
def lease(store: str) -> Lease:
    held = Lease()
    assert held.take()
    return held


def make_series(metric: str = "orders", **fields: Any) -> int:
    """A series of a new metric."""
    made = Metric.objects.create(name=metric, **fields)
    return Series.objects.create(metric=made, fingerprint=f"{made.pk:032x}").pk


def chunk(
    series: int, resolution_ms: int, age_days: float, *, rolled: bool = True, size: int = 10
) -> Chunk:
    """A chunk whose window ended so many days ago."""
    start_ms = window_of(round(NOW_MS - age_days * DAY_MS), resolution_ms)
    start_ms -= WINDOW_MS[resolution_ms]
    return Chunk(
        series_id=series,
        resolution_ms=resolution_ms,
        start_ms=start_ms,
        end_ms=start_ms + WINDOW_MS[resolution_ms],
        count=1,
        rolled=rolled,
        data=bytes(size),
    )


def chunk_is_kept(one: Chunk, own_days: int | None, late_days: int) -> bool:
    """The rule, one chunk at a time."""
    days = DEFAULTS[one.resolution_ms] if own_days is None else own_days
    if one.resolution_ms == SAMPLES and not one.rolled:
        return True
    if one.resolution_ms == SAMPLES and days:
        days = max(days, late_days)
    return days == 0 or one.end_ms > NOW_MS - days * DAY_MS


def expire(lease: Lease) -> int:
    return sum(retention.expire(lease, NOW_MS))


def ages() -> dict[int, list[int]]:
    """By resolution, the whole days since the chunks ended that are left."""
    rows = Chunk.objects.order_by("resolution_ms", "end_ms").values_list("resolution_ms", "end_ms")
    found: dict[int, list[int]] = {}
    for resolution_ms, end_ms in rows:
        found.setdefault(resolution_ms, []).append((NOW_MS - end_ms) // DAY_MS)
    return found


def test_samples_that_are_not_rolled_up_yet_are_never_deleted(lease: Lease) -> None:
    series = make_series()
    Chunk.objects.bulk_create(
        [chunk(series, SAMPLES, 500, rolled=False), chunk(series, SAMPLES, 400)]
    )
    assert expire(lease) == 1
    assert ages() == {SAMPLES: [500]}


def test_who_has_lost_the_lease_deletes_nothing(lease: Lease) -> None:
    chunk(make_series(), SAMPLES, 400).save()
    LeaseRow.objects.update(holder="another")
    with pytest.raises(LeaseLost):
        expire(lease)
    assert Chunk.objects.count() == 1


def test_by_default_samples_go_after_two_weeks_and_hours_stay_for_ever(lease: Lease) -> None:
    series = make_series()
    for resolution_ms in RESOLUTIONS_MS:
        days = (5, 13, 15, 29, 31, 300, 366, 5000)
        Chunk.objects.bulk_create(
            (chunk(series, resolution_ms, one) for one in days), ignore_conflicts=True
        )
    before = ages()
    expire(lease)
    left = ages()
    assert left[SAMPLES] == [13, 5]
    assert left[10_000] == [29, 15, 13, 5]
    assert left[60_000] == before[60_000][2:]
    assert left[3_600_000] == before[3_600_000]


def test_what_cannot_be_read_is_left_for_somebody_to_look_at(lease: Lease) -> None:
    one = chunk(make_series(), SAMPLES, 400)
    one.resolution_ms = DAMAGED
    one.save()
    assert expire(lease) == 0


@pytest.mark.parametrize(("own_days", "left"), [(1, [6]), (20, [15, 6]), (0, [300, 15, 6])])
def test_a_metric_has_its_own_days_but_samples_stay_while_late_ones_are_expected(
    lease: Lease, own_days: int, left: list[int]
) -> None:
    series = make_series(keep_raw_days=own_days)
    other = make_series("paid")
    for id in (series, other):
        Chunk.objects.bulk_create(chunk(id, SAMPLES, days) for days in (6, 15, 300))
    expire(lease)
    rows = Chunk.objects.filter(series_id=series).order_by("end_ms")
    assert [(NOW_MS - one.end_ms) // DAY_MS for one in rows] == left
    assert Chunk.objects.filter(series_id=other).count() == 1


@given(
    own=st.lists(st.tuples(OWN_DAYS, OWN_DAYS, OWN_DAYS, OWN_DAYS), min_size=1, max_size=4),
    stored=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(RESOLUTIONS_MS),
            st.floats(0, 450),
            st.booleans(),
        ),
        max_size=25,
        unique_by=lambda one: (
            one[0],
            one[1],
            round(NOW_MS - one[2] * DAY_MS) // WINDOW_MS[one[1]],
        ),
    ),
    late_days=st.sampled_from([0, 7]),
)
@hypothesis_settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_exactly_what_is_too_old_expires(
    lease: Lease,
    settings: Any,
    own: list[tuple[int | None, ...]],
    stored: list[tuple[int, int, float, bool]],
    late_days: int,
) -> None:
    settings.LATE_DAYS = late_days
    Chunk.objects.all().delete()
    Series.objects.all().delete()
    Metric.objects.all().delete()
    fields = keep.FIELDS.values()
    series = [
        make_series(f"m{number}", **dict(zip(fields, days, strict=True)))
        for number, days in enumerate(own)
    ]
    owner = dict(zip(series, own, strict=True))
    Chunk.objects.bulk_create(
        [
            chunk(series[number % len(series)], resolution_ms, age_days, rolled=rolled)
            for number, resolution_ms, age_days, rolled in stored
        ],
        ignore_conflicts=True,
    )
    own_of = {resolution_ms: at for at, resolution_ms in enumerate(RESOLUTIONS_MS)}
    wanted = {
        one.pk
        for one in Chunk.objects.all()
        if chunk_is_kept(one, owner[one.series_id][own_of[one.resolution_ms]], late_days)
    }
    expire(lease)
    assert set(Chunk.objects.values_list("pk", flat=True)) == wanted


def test_it_goes_on_from_where_it_was_interrupted(lease: Lease) -> None:
    series = make_series()
    Chunk.objects.bulk_create(chunk(series, SAMPLES, 20 + days) for days in range(250))
    pieces = retention.expire(lease, NOW_MS)
    first = next(pieces)
    pieces.close()
    assert 0 < first < 250
    assert expire(lease) == 250 - first


def test_portions_are_as_large_as_the_machine_allows() -> None:
    portion = Portion()
    before = portion.size
    portion.took(TARGET_S / 10)
    assert portion.size == 2 * before
    for _ in range(20):
        portion.took(1.0)
    assert portion.size == FEWEST
    portion.took(TARGET_S)
    assert portion.size == FEWEST


def test_totals_receipts_and_events_are_not_its_business(lease: Lease) -> None:
    Receipt.objects.create(scope="local", key="k", body_hash=b"", stored=1, created_at_ms=1)
    Event.objects.create(time_ms=1, title="long ago")
    chunk(make_series(), SAMPLES, 400).save()
    expire(lease)
    assert (Receipt.objects.count(), Event.objects.count()) == (1, 1)
    assert not Generation.objects.exists()


def test_expiry_of_a_metric_with_days_of_its_own_uses_the_key(lease: Lease) -> None:
    """A metric that is kept for years must not be looked through every minute for others'."""
    series = make_series(keep_raw_days=20)
    make_series("paid")
    Chunk.objects.bulk_create(chunk(series, SAMPLES, days) for days in range(1, 20))
    for rule in keep.rules(keep.own_rules(), NOW_MS):
        if rule.resolution_ms == SAMPLES and connection.vendor == "sqlite":
            assert not rule.of_all
            plan = retention.expired(rule)[:10].explain()
            assert "start_ms<?" in plan and "SCAN metrics_chunk" not in plan


# How long publishers wait


def test_a_day_of_a_thousand_series_goes_in_short_transactions(lease: Lease) -> None:
    make_series()
    Chunk.objects.bulk_create(
        (chunk(1_000_000 + series, SAMPLES, 20 + part / 12, size=1_500)
         for series in range(1000) for part in range(12)),
        batch_size=500,
    )  # fmt: skip
    gone = list(retention.expire(lease, NOW_MS))
    assert sum(gone) == 12_000
    assert not Chunk.objects.exists()
    assert max(gone) <= MOST, "a transaction each; measured: 25 ms at most"


# Late samples


def test_a_late_sample_of_long_ago_fills_gaps_and_spoils_nothing(lease: Lease) -> None:
    """The samples of its time are gone: buckets that hold more than is known now stay."""
    lease.release()
    (series,) = make_counted_series("gauge")
    full_ms, gap_ms = START_MS + 30_000, START_MS + 100_000
    put(*((series, full_ms - 9_000 + 1000 * n, float(n)) for n in range(10)))
    seal_all()
    roll_all()
    lease.take()
    later_ms = START_MS + 20 * DAY_MS
    assert sum(retention.expire(lease, later_ms)) == 1
    lease.release()
    before = rolled(series, 60_000)

    put((series, full_ms, 500.0), (series, gap_ms, 7.0), received_ms=later_ms)
    seal_all()
    roll_all()
    put((series, gap_ms - 1, 3.0), received_ms=later_ms)
    seal_all()
    roll_all()
    lease.take()
    assert sum(retention.expire(lease, later_ms)) == 1
    assert not Chunk.objects.filter(resolution_ms=SAMPLES).exists()
    found = rolled(series, 10_000)
    assert found.end_ms.tolist() == [full_ms, gap_ms]
    assert found.count.tolist() == [10, 2]
    assert found.sum.tolist() == [45.0, 10.0]
    minutes = rolled(series, 60_000)
    assert minutes.count.tolist() == [10, 2]
    assert minutes.sum[0] == before.sum[0]


def test_within_the_late_days_a_correction_is_exact(lease: Lease) -> None:
    lease.release()
    (series,) = make_counted_series("gauge")
    put(*((series, START_MS + 1000 * (n + 1), 1.0) for n in range(10)))
    seal_all()
    roll_all()
    soon_ms = START_MS + 6 * DAY_MS
    lease.take()
    assert sum(retention.expire(lease, soon_ms)) == 0
    lease.release()
    put((series, START_MS + 5000, 100.0), received_ms=soon_ms)
    seal_all()
    settle_all()
    roll_all()
    assert rolled(series, 10_000).sum.tolist() == [109.0]
    assert rolled(series, 3_600_000).max.tolist() == [100.0]


def test_samples_stay_while_late_ones_for_them_wait(lease: Lease, settings: Any) -> None:
    settings.KEEP_RAW_DAYS = settings.LATE_DAYS = 7
    (series,) = make_counted_series("gauge")
    put(*line(series, START_MS, 20))
    lease.release()
    seal_all()
    roll_all()
    end_ms = START_MS + WINDOW
    put((series, START_MS + 5000, 100.0))
    seal_all(end_ms + 7 * DAY_MS - 1)  # at the last moment that is promised
    lease.take()
    assert sum(retention.expire(lease, end_ms + 8 * DAY_MS)) == 0
    lease.release()
    settle_all(end_ms + 7 * DAY_MS)
    assert rolled(series, 3_600_000).max.tolist() == [100.0]
    lease.take()
    assert sum(retention.expire(lease, end_ms + 8 * DAY_MS)) == 1
    assert not Chunk.objects.filter(resolution_ms=SAMPLES).exists()
