"""What is stored takes how much, where that leads, and how space is given back."""

from __future__ import annotations

import gc
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection

from dashboard.environment import Environment, sqlite
from metrics import sizes, stats, vacuum
from metrics.chunks import DAMAGED, RESOLUTIONS_MS, SAMPLES, WINDOW_MS, window_of
from metrics.forecast import forecast
from metrics.keep import DAY_MS
from metrics.lease import Lease
from metrics.models import Chunk, Metric, Storage
from metrics.portions import ROW_BYTES
from tests.support.environment import ROOT
from tests.support.product import Product
from tests.test_retention import make_series

NOW_MS = 1_790_000_000_000
WINDOW = WINDOW_MS[SAMPLES]
MEGABYTE = 1_000_000
KEPT = {0: 14, 10_000: 30, 60_000: 365, 3_600_000: 0}


def chunk(series: int, resolution_ms: int, start_ms: int, count: int, size: int) -> Chunk:
    return Chunk(
        series_id=series,
        resolution_ms=resolution_ms,
        start_ms=start_ms,
        end_ms=start_ms + WINDOW_MS.get(resolution_ms, 0),
        count=count,
        rolled=True,
        data=os.urandom(size),
    )


def fill(megabytes: int, series: int = 1, start_ms: int = 0) -> None:
    Chunk.objects.bulk_create(
        (chunk(series, SAMPLES, start_ms + n * WINDOW, 1, 10_000) for n in range(100 * megabytes)),
        batch_size=100,
    )


def measure() -> None:
    for _ in sizes.measuring(NOW_MS):
        continue


# Measuring


def test_nothing_is_measured_where_nothing_is(store: str) -> None:
    measure()
    assert not Storage.objects.exists()
    found = sizes.latest()
    assert found is not None and found.database_bytes > 0


def test_every_metric_has_its_bytes_by_resolution(store: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(sizes, "_PIECE", sizes._PIECE.replace("2000", "7"))
    orders, paid = make_series("orders"), make_series("paid")
    for at, resolution_ms in enumerate(RESOLUTIONS_MS):
        chunk(orders, resolution_ms, 0, 5, 1000 * (at + 1)).save()
    for number in range(20):
        chunk(paid, SAMPLES, number * WINDOW, 7, 100).save()
    chunk(paid, DAMAGED, -1, 1, 5000).save()
    chunk(999_999, SAMPLES, 0, 1, 5000).save()
    measure()
    row = Storage.objects.get(metric__name="orders")
    found = [getattr(row, f"bytes_{name}") for name in ("raw", "10s", "1m", "1h")]
    assert found == [size + ROW_BYTES for size in (1000, 2000, 3000, 4000)]
    assert (row.chunks, row.samples, row.oldest_raw_ms) == (4, 5, 0)
    other = Storage.objects.get(metric__name="paid")
    assert (other.bytes_raw, other.samples, other.chunks) == (20 * (100 + ROW_BYTES), 140, 20)
    assert Storage.objects.count() == 2


def test_a_rate_is_that_of_the_last_whole_windows(store: str) -> None:
    series = make_series()
    current_ms = window_of(NOW_MS, SAMPLES)
    for back in range(30):
        chunk(series, SAMPLES, current_ms - back * WINDOW, 7200 if back else 10, 9_800).save()
    chunk(series, 10_000, 0, 100, 800).save()
    measure()
    row = Storage.objects.get()
    assert row.samples_per_second == pytest.approx(1.0)
    assert row.daily_raw == pytest.approx(12 * (9_800 + ROW_BYTES))
    assert row.daily_10s == pytest.approx(8640 * (800 + ROW_BYTES) / 100)
    assert row.daily_1h == pytest.approx(24 * sizes.BUCKET_BYTES)


def test_a_metric_that_is_published_seldom_has_no_more_buckets_than_samples(store: str) -> None:
    series = make_series()
    current_ms = window_of(NOW_MS, SAMPLES)
    for back in range(1, 14):
        chunk(series, SAMPLES, current_ms - back * WINDOW, 2, 100).save()
    measure()
    row = Storage.objects.get()
    assert row.daily_10s == pytest.approx(24 * sizes.BUCKET_BYTES)
    assert row.daily_1h == pytest.approx(24 * sizes.BUCKET_BYTES)


def test_a_rate_is_unknown_before_there_is_a_whole_window(store: str) -> None:
    chunk(make_series(), SAMPLES, window_of(NOW_MS, SAMPLES), 10, 100).save()
    measure()
    row = Storage.objects.get()
    assert (row.samples_per_second, row.daily_raw, row.daily_1h) == (None, None, None)


def test_what_a_metric_took_is_forgotten_with_its_chunks(store: str) -> None:
    chunk(make_series(), SAMPLES, 0, 1, 100).save()
    measure()
    Chunk.objects.all().delete()
    for _ in sizes.measuring(NOW_MS + 1):
        continue
    assert not Storage.objects.exists()
    assert Metric.objects.exists()


def test_it_is_measured_seldom(store: str) -> None:
    lease = Lease()
    chunk(make_series(), SAMPLES, 0, 1, 100).save()
    assert len([*sizes.measure(lease, NOW_MS)]) == 1
    assert [*sizes.measure(lease, NOW_MS)] == []


# Where it leads


def test_without_a_budget_there_is_no_bound_to_forecast() -> None:
    found = forecast([({0: 100.0, 10_000: 10.0, 60_000: 1.0, 3_600_000: 0.5}, KEPT)], None)
    assert found.daily == pytest.approx(111.5)
    assert found.after_a_year == pytest.approx(1400 + 300 + 365 + 182.5)
    assert found.days_of_samples is None


def test_what_fits_into_the_budget_needs_no_bound() -> None:
    assert forecast([({0: 100.0}, KEPT)], 1400.0).days_of_samples is None


def test_the_budget_bounds_the_days_of_samples() -> None:
    rates = {0: 100.0, 10_000: 10.0}
    assert forecast([(rates, {**KEPT, 0: 90})], 4400.0).days_of_samples == pytest.approx(41.0)
    assert forecast([(rates, KEPT)], 200.0).days_of_samples == 0.0


# Giving space back


@pytest.mark.sqlite("PostgreSQL vacuums by itself")
def test_a_new_database_can_shrink(new_server: Any) -> None:
    product = new_server(start=False)
    product.manage("migrate", "-v0")
    assert pragma(product, "auto_vacuum") == 2
    assert pragma(product, "journal_mode") == "wal"


def test_a_database_that_is_being_written_can_still_be_opened(tmp_path: Path) -> None:
    """What every connection begins with must not itself write."""
    path = tmp_path / "busy.sqlite3"
    begin = sqlite(path)["OPTIONS"]["init_command"]
    writer = sqlite3.connect(path, isolation_level=None)
    writer.executescript(f"PRAGMA auto_vacuum=INCREMENTAL; {begin} CREATE TABLE one (id INTEGER)")
    writer.execute("BEGIN IMMEDIATE")
    reader = sqlite3.connect(path, timeout=0.0)
    reader.executescript(begin)
    assert reader.execute("SELECT COUNT(*) FROM one").fetchone() == (0,)
    assert reader.execute("PRAGMA secure_delete").fetchone() == (2,)
    reader.close()
    writer.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_the_file_gets_smaller_after_deletions(store: str) -> None:
    path = Path(store.removeprefix("sqlite://"))
    fill(megabytes=8)
    gc.collect()  # a traceback may keep an earlier test's connection, and with it the old file
    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    large = path.stat().st_size
    Chunk.objects.all().delete()
    pages = sum(vacuum.give_back(None, NOW_MS, unused_s=0.0))
    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert large > 8 * MEGABYTE
    assert path.stat().st_size < large - 7 * MEGABYTE
    assert pages * 4096 > 7 * MEGABYTE
    assert connection.cursor().execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_pages_that_were_needed_lately_are_kept(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log grows and shrinks: moving pages for it each time would be work for nothing."""
    now_s = 0.0
    monkeypatch.setattr(vacuum.time, "monotonic", lambda: now_s)  # type: ignore[attr-defined]
    fill(megabytes=2)
    Chunk.objects.all().delete()
    assert [*vacuum.give_back(None, NOW_MS)] == [], "nobody knows yet what is needed"
    fill(megabytes=1)
    now_s = 600.0
    assert [*vacuum.give_back(None, NOW_MS)] == []
    Chunk.objects.all().delete()
    now_s = 1900.0
    freed = sum(vacuum.give_back(None, NOW_MS)) * 4096
    assert 0.5 * MEGABYTE < freed < 1.5 * MEGABYTE, "what was free all the time"
    now_s = 2500.0
    assert [*vacuum.give_back(None, NOW_MS)] == []
    now_s = 9000.0
    assert sum(vacuum.give_back(None, NOW_MS)) * 4096 > 0.5 * MEGABYTE
    assert stats.snapshot().gauges["database_free_bytes"] > 0


@pytest.mark.postgres
@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_postgresql_reuses_the_space_of_what_was_deleted(store: str) -> None:
    fill(megabytes=5)
    assert [*vacuum.give_back(None, NOW_MS)] == []
    before, _ = sizes.database_file_bytes()
    for round in range(1, 4):
        Chunk.objects.all().delete()
        call_command("vacuum")
        fill(megabytes=5, start_ms=round * 5 * 100 * WINDOW)
    after, _ = sizes.database_file_bytes()
    assert after < before + 4 * MEGABYTE
    measure()
    found = sizes.latest()
    assert found is not None and found.database_bytes < after


@pytest.mark.postgres
@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_postgresql_does_not_compress_again_and_tidies_soon(store: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attstorage::text FROM pg_attribute WHERE attname = 'data'"
            " AND attrelid IN ('metrics_chunk'::regclass, 'metrics_batch'::regclass)"
        )
        assert cursor.fetchall() == [("e",), ("e",)]
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = 'metrics_chunk'")
        assert "autovacuum_vacuum_scale_factor=0.02" in cursor.fetchone()[0]


def old_database(new_server: Any, megabytes: int) -> Product:
    """A product that does not run, with a database made without auto_vacuum."""
    product: Product = new_server(start=False)
    (product.folder / "var").mkdir()
    old = sqlite3.connect(product.folder / "var" / "pulseboard.sqlite3")
    old.execute("PRAGMA journal_mode=WAL")
    old.execute("CREATE TABLE old (data BLOB)")
    old.executemany("INSERT INTO old VALUES (zeroblob(1000000))", [()] * megabytes)
    old.commit()
    old.close()
    return product


def pragma(product: Product, name: str) -> Any:
    checked = sqlite3.connect(product.folder / "var" / "pulseboard.sqlite3")
    try:
        return checked.execute(f"PRAGMA {name}").fetchone()[0]
    finally:
        checked.close()


@pytest.mark.sqlite("PostgreSQL vacuums by itself")
def test_a_small_old_database_learns_to_shrink_when_it_is_migrated(new_server: Any) -> None:
    product = old_database(new_server, megabytes=1)
    product.manage("migrate", "-v0")
    assert pragma(product, "auto_vacuum") == 2


@pytest.mark.sqlite("PostgreSQL vacuums by itself")
def test_a_large_one_does_so_when_somebody_asks_for_it(new_server: Any) -> None:
    product = old_database(new_server, megabytes=201)
    product.manage("migrate", "-v0")
    assert pragma(product, "auto_vacuum") == 0
    assert "MB before" in product.manage("vacuum")
    assert pragma(product, "auto_vacuum") == 2
    assert pragma(product, "journal_mode") == "wal"


# Settings


def test_keeping_samples_shorter_than_late_ones_need_stops_the_start(new_server: Any) -> None:
    product = new_server({"KEEP_RAW_DAYS": "3"}, start=False)
    done = product.run("check")
    assert done.returncode != 0
    assert "KEEP_RAW_DAYS=3 is less than LATE_DAYS=7" in done.stderr
    with pytest.raises(ImproperlyConfigured, match="a sentence"):
        Environment.check(False, "a sentence")
    assert "KEEP_RAW_DAYS" in (ROOT / "docs/settings.md").read_text(encoding="utf-8")


def test_days_are_86_400_000_ms() -> None:
    assert DAY_MS == 12 * WINDOW
