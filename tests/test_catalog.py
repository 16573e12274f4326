"""Names become ids, once, whoever asks first; and not too many of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from metrics import catalog
from metrics.models import Metric, Series
from metrics.refused import Refused
from metrics.rows import fingerprint
from tests.support.samples import accept, cached, sample, stored
from tests.support.store import Program, rolled_back_savepoint, run_together


def test_too_many_series_of_a_metric_are_refused_and_the_label_is_named(
    store: str, settings: Any
) -> None:
    settings.SERIES_PER_METRIC = 3
    accept(*(sample(user=str(number), region="eu") for number in range(3)))
    with pytest.raises(Refused) as refusal:
        accept(sample("other"), sample(user="0", region="eu"), sample(user="3", region="eu"))
    assert (refusal.value.status, refusal.value.item) == (429, "samples[2].labels")
    assert refusal.value.message == (
        "orders would have 4 series: at most 3 are kept of one metric (setting SERIES_PER_METRIC); "
        "the label user alone has 4 or more values"
    )
    assert not Metric.objects.filter(name="other").exists()


def test_existing_series_go_on_at_the_limit(store: str, settings: Any) -> None:
    settings.SERIES_PER_METRIC = settings.SERIES = 2
    accept(sample(user="0"), sample(user="1"))
    assert accept(sample(user="0", value=5), sample(user="1"), now_ms=1_790_000_000_001).stored == 2
    catalog.forget()  # also for a process that has not met them
    assert accept(sample(user="0", value=6), now_ms=1_790_000_000_002).stored == 1


def test_too_many_series_in_all_are_refused(store: str, settings: Any) -> None:
    settings.SERIES = 2
    accept(sample(user="0"), sample("other"))
    with pytest.raises(Refused, match=r"samples\[1\]: would be series number 3.*setting SERIES"):
        accept(sample(user="0"), sample("third"))
    assert Series.objects.count() == 2


def test_a_metric_without_labels_needs_no_culprit(store: str, settings: Any) -> None:
    settings.SERIES_PER_METRIC = 0
    with pytest.raises(Refused, match=r"SERIES_PER_METRIC\)$"):
        accept(sample())


def test_series_of_a_rolled_back_transaction_are_not_remembered(store: str) -> None:
    class Abandoned(Exception):
        pass

    with pytest.raises(Abandoned), transaction.atomic():
        accept(sample(region="eu"))
        raise Abandoned
    assert not cached("orders", region="eu")
    assert Series.objects.count() == 0
    accept(sample(region="eu", value=4))
    assert cached("orders", region="eu")
    assert [*stored("orders", {"region": "eu"}).values()] == [4.0]


def test_series_of_a_rolled_back_savepoint_are_not_remembered(store: str) -> None:
    with transaction.atomic():
        accept(sample("kept"))
        with rolled_back_savepoint():
            accept(sample("lost"))
    assert [cached("kept"), cached("lost")] == [True, False]


def test_the_same_labels_in_any_order_are_one_series(store: str) -> None:
    accept(sample(a="1", b="2"), sample(b="2", a="1"))
    assert Series.objects.count() == 1


def test_an_empty_label_is_the_same_as_none(store: str) -> None:
    accept(sample(region=""))
    accept(sample(), sample(region="", zone=""))
    assert [series.labels for series in Series.objects.all()] == [{}]


def test_names_and_values_that_look_alike_are_different_series() -> None:
    alike = [("a", {"b": "c"}), ("a", {"b": 'c"'}), ("a", {"bc": ""}), ("ab", {}), ("a", {})]
    assert len({fingerprint(name, labels) for name, labels in alike}) == len(alike)


def test_the_first_sample_decides_a_metrics_kind(store: str) -> None:
    accept(sample("orders_total", kind="increment"), sample("load"))
    assert catalog.metrics()["orders_total"].kind == "counter"
    assert dict(Metric.objects.values_list("name", "kind")) == {
        "orders_total": "counter",
        "load": "gauge",
    }


def test_a_description_is_kept_and_an_admins_words_are_not_overwritten(store: str) -> None:
    accept(sample("size"), sample("speed"))
    catalog.describe({"size": catalog.Description("gauge", "bytes", "How large.")})
    Metric.objects.filter(name="speed").update(help="An admin wrote this.")
    catalog.describe({"speed": catalog.Description("gauge", "bytes", "How fast.")})
    assert sorted(catalog.load_metrics()) == ["size", "speed"]
    assert catalog.load_metrics() == []
    assert catalog.metrics()["size"] == catalog.Description("gauge", "bytes", "How large.")
    assert catalog.metrics()["speed"].help == "An admin wrote this."


def test_a_metric_that_is_only_described_has_its_kind_when_it_is_first_published(
    store: str,
) -> None:
    catalog.describe({"wait": catalog.Description("histogram", "seconds", "How long.")})
    accept(sample("wait"))
    assert catalog.metrics()["wait"] == catalog.Description("histogram", "seconds", "How long.")


def test_series_of_other_processes_are_learned_by_id_however_many(store: str) -> None:
    accept(*(sample(user=str(number)) for number in range(2500)))
    ids = [*Series.objects.values_list("id", flat=True)]
    catalog.forget()
    assert len(catalog.learn([*ids, 999_999_999])) == 2500
    assert catalog.learn(ids) == []
    assert len(catalog.by_name("orders")) == 2500
    known = catalog.get(ids[0])
    assert known is not None
    assert known.labels == {"__name__": "orders", "user": known.labels["user"]}


def test_threads_that_make_the_same_series_at_once_get_one(store: str) -> None:
    together = Barrier(6)

    def publish(number: int) -> int:
        together.wait()
        try:
            return accept(*(sample(n=str(n)) for n in range(number, number + 20))).stored
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert [*pool.map(publish, range(6))] == [20] * 6
    assert Series.objects.count() == 25
    assert Metric.objects.count() == 1
    for number in range(25):
        assert len(stored("orders", {"n": str(number)})) == 1


MAKE_SERIES = """
import sys
from tests.support.samples import accept, sample
for round in range(10):
    accept(*(sample(f"m{round}", n=str(n)) for n in range(int(sys.argv[1]), 20)))
"""


def test_processes_that_make_the_same_series_at_once_get_one(store: str) -> None:
    connection.close()
    run_together([Program(store, MAKE_SERIES, number) for number in range(3)])
    assert Series.objects.count() == 200
    assert Metric.objects.count() == 10


@pytest.mark.postgres
@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_a_series_that_becomes_visible_late_is_found_although_its_id_is_lower(store: str) -> None:
    with psycopg.connect(store) as other:
        accept(sample("metric"))
        metric = Metric.objects.get()
        row = (metric.pk, "f" * 32)
        other.execute(
            "INSERT INTO metrics_series (metric_id, labels, fingerprint, created_at)"
            ' VALUES (%s, \'{"late": "yes"}\', %s, now())',
            row,
        )
        accept(sample("metric", late="no"))
        catalog.forget()
        assert len(catalog.load()) == 2
        other.commit()
    assert [known.labels["late"] for known in catalog.load()] == ["yes"]
    assert catalog.load() == []
