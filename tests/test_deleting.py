"""Deleting series and metrics, while publishers and watchers in other processes go on."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction

from dashboard import protocol
from metrics import catalog, deleting, keep, reader
from metrics.chunks import KINDS, WINDOW_MS
from metrics.clock import now_ms
from metrics.models import Batch, Chunk, DeletedSeries, Generation, Metric, Series, Total
from metrics.samples import Sample
from tests.conftest import NewServer
from tests.live_support import Shown, live
from tests.support.samples import NOW_MS, accept, cached, sample, stored
from tests.support.store import Program
from tests.support.waiting import eventually

OTHER_PUBLISHER = """
from metrics import catalog
from tests.support.samples import accept, sample
accept(sample("orders", 1, region="eu"), sample("paid", 2, kind="increment"))
assert catalog.cached(catalog.key_of("orders", {"region": "eu"})) is not None
print("published", flush=True)
input()
accept(sample("orders", 3, region="eu"), sample("paid", 4, kind="increment"))
accept(sample("orders", 5, region="eu"), now_ms=1_790_000_001_000)
"""

SEALING = """
import sys
from django.db import transaction
from tests.test_deleting import chunk
with transaction.atomic():
    chunk(int(sys.argv[1]))
    print("written", flush=True)
    input()
"""


def chunk(series: int, resolution_ms: int = 0, start_ms: int = 0, size: int = 10) -> Chunk:
    """A stored chunk; what is in it does not matter here."""
    return Chunk.objects.create(
        series_id=series,
        resolution_ms=resolution_ms,
        start_ms=start_ms,
        end_ms=start_ms + WINDOW_MS.get(resolution_ms, 0),
        count=1,
        rolled=True,
        data=bytes(size),
    )


def id_of(metric: str, **labels: str) -> int:
    return Series.objects.get(metric__name=metric, labels=labels).pk


def sweep(at_ms: int | None = None) -> int:
    return sum(deleting.sweep(None, now_ms() if at_ms is None else at_ms))


def test_a_name_that_does_not_exist_deletes_nothing(store: str) -> None:
    accept(sample())
    assert deleting.delete_metric("paid") == 0
    assert deleting.delete_series([999_999]) == 0
    assert not Generation.objects.exists()
    assert stored("orders") == {NOW_MS: 1.0}


def test_a_deleted_metric_is_gone_and_its_neighbours_stay(store: str) -> None:
    accept(sample("orders", 1, region="eu"), sample("orders", 2, region="us"), sample("paid", 3))
    assert deleting.delete_metric("orders") == 2
    assert [*Metric.objects.values_list("name", flat=True)] == ["paid"]
    assert [known.name for known in catalog.everything()] == ["paid"]
    assert "orders" not in catalog.metrics()
    assert stored("paid") == {NOW_MS: 3.0}


def test_series_are_found_by_their_labels(store: str) -> None:
    accept(*(sample(region=region, shop=shop) for region in ("eu", "us") for shop in "ab"))
    assert len(deleting.find("orders")) == 4
    assert len(deleting.find("orders", {"region": "eu"})) == 2
    assert deleting.find("orders", {"region": "eu", "shop": "b"}) == [
        id_of("orders", region="eu", shop="b")
    ]
    assert deleting.find("orders", {"region": "mars"}) == deleting.find("nothing") == []


def test_of_a_deleted_series_the_metric_stays(store: str) -> None:
    accept(sample(region="eu"), sample(region="us"))
    assert deleting.delete_series([id_of("orders", region="eu")]) == 1
    assert [known.labels["region"] for known in catalog.by_name("orders")] == ["us"]
    assert not cached("orders", region="eu") and cached("orders", region="us")


def test_a_running_total_begins_anew(store: str) -> None:
    accept(sample("paid", 40, kind="increment"))
    deleting.delete_metric("paid")
    assert not Total.objects.exists()
    assert accept(sample("paid", 2, kind="increment")).totals == {0: 2.0}


def test_many_series_go_in_slices_with_a_rest_between(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleting, "SLICE_SERIES", 10)
    accept(*(sample(user=str(number)) for number in range(25)))
    rests: list[float] = []
    assert deleting.delete_metric("orders", rest=rests.append) == 25
    assert len(rests) == 2
    assert Generation.objects.get().number == 3
    assert catalog.everything() == []


def test_what_another_process_holds_of_a_deleted_series_is_not_lost(store: str) -> None:
    """Its cache has an id that is no more: the sample is stored under a new one."""
    connection.close()
    publisher = Program(store, OTHER_PUBLISHER).started().go()
    assert publisher.line() == "published\n"
    before = id_of("orders", region="eu")
    deleting.delete_metric("orders")
    deleting.delete_metric("paid")
    publisher.go().finish()
    assert id_of("orders", region="eu") > before
    catalog.load()
    assert stored("orders", {"region": "eu"}) == {NOW_MS: 3.0, NOW_MS + 1000: 5.0}
    assert list(stored("paid").values()) == [4.0]
    assert cached("orders", region="eu")


def test_a_process_that_was_away_for_long_asks_which_of_its_series_exist(store: str) -> None:
    """The rows that would say it are kept for a day only."""
    accept(sample(region="eu"), sample(region="us"))
    mine = catalog.cached(catalog.key_of("orders", {"region": "eu"}))
    assert mine is not None
    connection.close()
    code = "import sys; from metrics import deleting; deleting.delete_series([int(sys.argv[1])])"
    Program(store, code, mine.id).started().go().finish()
    DeletedSeries.objects.all().delete()
    accept(sample(value=7.0, region="eu"), sample(value=8.0, region="us"))
    assert stored("orders", {"region": "eu"}) == {NOW_MS: 7.0}
    assert stored("orders", {"region": "us"}) == {NOW_MS: 8.0}


def test_a_deletion_that_was_rolled_back_loses_nothing(store: str) -> None:
    accept(sample(value=1.0))
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        deleting.delete_metric("orders")
        raise ZeroDivisionError
    accept(sample(value=2.0), now_ms=NOW_MS + 1)
    assert stored("orders") == {NOW_MS: 1.0, NOW_MS + 1: 2.0}
    assert [known.id for known in catalog.by_name("orders")] == [id_of("orders")]


def test_in_the_transaction_of_a_publisher_too(store: str) -> None:
    accept(sample(value=1.0))
    connection.close()
    code = "from metrics import deleting; deleting.delete_metric('orders')"
    Program(store, code).started().go().finish()
    with transaction.atomic():
        accept(sample(value=2.0), now_ms=NOW_MS + 1)
    catalog.load()
    assert stored("orders") == {NOW_MS + 1: 2.0}


def test_publishing_and_deleting_at_once_loses_only_what_was_deleted(store: str) -> None:
    """Whatever was published after the last deletion is there, whichever thread looked first."""
    stop = threading.Event()
    stored_ms: list[list[int]] = [[] for _ in range(3)]
    times = itertools.count(NOW_MS)

    def publish(mine: list[int]) -> None:
        try:
            while not stop.is_set():
                at_ms = next(times)
                accept(sample(value=1.0), now_ms=at_ms)
                mine.append(at_ms)
        finally:
            connection.close()

    threads = [threading.Thread(target=publish, args=(mine,)) for mine in stored_ms]
    for thread in threads:
        thread.start()
    for _ in range(8):
        count = sum(map(len, stored_ms))
        eventually(lambda count=count: sum(map(len, stored_ms)) > count + 5)  # type: ignore[misc]
        deleting.delete_metric("orders")
    begun_ms = next(times)
    count = sum(map(len, stored_ms))
    eventually(lambda: sum(map(len, stored_ms)) > count + 20)
    stop.set()
    for thread in threads:
        thread.join()
    wanted = {at_ms for mine in stored_ms for at_ms in mine if at_ms > begun_ms}
    assert len(wanted) > 10
    assert wanted <= set(stored("orders"))
    assert Generation.objects.get().number >= 8


def test_what_is_cached_is_called_right_only_once_the_deleted_is_forgotten(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a publisher who looks meanwhile would store under an id that is no more."""
    accept(sample())
    catalog.catch_up()
    before, during, key_of = catalog.generation(), [], catalog._key_of_known

    def note(known: catalog.Known) -> catalog.Key:
        during.append(catalog.generation())
        return key_of(known)

    monkeypatch.setattr(catalog, "_key_of_known", note)
    deleting.delete_metric("orders")
    assert during == [before] and catalog.generation() > before


# Chunks


def test_the_chunks_of_deleted_series_go_and_others_stay(store: str) -> None:
    accept(sample(region="eu"), sample(region="us"))
    gone, stays = id_of("orders", region="eu"), id_of("orders", region="us")
    for resolution_ms in KINDS:
        chunk(gone, resolution_ms)
        chunk(stays, resolution_ms)
    assert sweep() == 0
    deleting.delete_series([gone])
    assert sweep() == len(KINDS)
    assert set(Chunk.objects.values_list("series_id", flat=True)) == {stays}


def test_chunks_that_were_written_meanwhile_go_a_day_later(store: str) -> None:
    """The log may have held samples of the series when it was deleted."""
    accept(sample())
    series = id_of("orders")
    deleting.delete_metric("orders")
    sweep()
    chunk(series)
    assert sweep() == 0
    assert sweep(now_ms() + keep.DAY_MS - 60_000) == 0
    day_after_ms = now_ms() + keep.DAY_MS + 1
    assert sweep(day_after_ms) == 0, "the log still holds what came before the deletion"
    Batch.objects.update(sealed_at_ms=1)
    assert sweep(day_after_ms) == 1
    assert not Chunk.objects.exists() and not DeletedSeries.objects.exists()


@pytest.mark.postgres
@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_a_chunk_that_was_being_written_during_the_deletion_goes_a_day_later(store: str) -> None:
    """On PostgreSQL neither waits for the other, so the first sweep cannot see it."""
    accept(sample())
    Batch.objects.update(sealed_at_ms=1)
    sealing = Program(store, SEALING, id_of("orders")).started().go()
    connection.close()
    assert sealing.line() == "written\n"
    deleting.delete_metric("orders")
    assert sweep() == 0
    sealing.go().finish()
    assert sweep(now_ms() + keep.DAY_MS + 1) == 1
    assert not Chunk.objects.exists() and not DeletedSeries.objects.exists()


# The command


@pytest.fixture
def two_orders(store: str) -> Iterator[None]:
    accept(sample(region="eu"), sample(region="us"))
    chunk(id_of("orders", region="eu"))
    yield


@pytest.mark.usefixtures("two_orders")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["paid", "--yes"], "There is no metric 'paid'."),
        (["orders", "--label", "region=mars", "--yes"], "'orders' has no series with region=mars."),
        (["orders"], "This deletes orders and its 2 series. Say --yes"),
        (["orders", "--label", "eu"], "'eu' is no label: expected NAME=VALUE"),
    ],
)
def test_the_command_refuses_with_a_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("forget", *arguments)
    assert Series.objects.count() == 2


@pytest.mark.usefixtures("two_orders")
def test_the_command_deletes_and_says_how_much(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("forget", "orders", "--label", "region=eu", "--yes")
    assert capsys.readouterr().out == "Deleted: 1 series, 1 chunks.\n"
    call_command("forget", "orders", "--yes")
    assert capsys.readouterr().out == "Deleted: 1 series, 0 chunks.\n"
    assert not Metric.objects.exists() and not Chunk.objects.exists()


# Those who watch


async def test_an_open_chart_forgets_a_deleted_series_within_a_second_or_two(
    new_server: NewServer,
) -> None:
    server = new_server()
    publish = ["publish", "orders", "5", "--label"]
    server.manage(*publish, "region=eu")
    server.manage(*publish, "region=us")
    async with live(server.live_url, cookie=server.cookie(), origin=server.base_url) as client:
        await client.get(protocol.Welcome)
        id = await client.watch("orders")
        shown = Shown()
        shown.take(await client.get(protocol.Snapshot, id))
        assert len(shown.labels) == 2
        server.manage("forget", "orders", "--label", "region=eu", "--yes")
        shown.take(await client.get(protocol.Snapshot, id))
        assert [dict(labels)["region"] for labels in shown.labels] == ["us"]
        server.manage(*publish, "region=eu")
        while len(shown.labels) < 2:
            frame = await client.hear()
            if getattr(frame, "id", None) == id:
                shown.take(frame)


def test_readers_find_nothing_of_a_deleted_series(store: str) -> None:
    at_ms = now_ms()
    accept(Sample("orders", 1.0, {}, at_ms), now_ms=at_ms)
    series = id_of("orders")
    assert reader.last([series]) == {series: (at_ms, 1.0)}
    deleting.delete_metric("orders")
    accept(Sample("orders", 2.0, {}, at_ms + 1), now_ms=at_ms + 1)
    assert [*reader.last([id_of("orders")]).values()] == [(at_ms + 1, 2.0)]
    assert [known.id for known in catalog.by_name("orders")] == [id_of("orders")]
