"""publish inside transaction.atomic(): what is published lives and dies with the transaction."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
from django.db import transaction

from metrics import publish
from metrics.models import Event, Series
from tests.support.samples import published, sample, samples_in_log

pytestmark = pytest.mark.usefixtures("publisher")


class Abandoned(Exception):
    pass


def publish_all() -> None:
    publish.gauge("load", 1)
    publish.counter("orders_total")
    publish.observe("size", 1, buckets=(5,))
    publish.event("deployed")
    publish.record([sample("cpu")], wait=False)
    with publish.timer("import_seconds"):
        pass


def test_a_rolled_back_transaction_publishes_nothing() -> None:
    with pytest.raises(Abandoned), transaction.atomic():
        publish_all()
        raise Abandoned
    assert publish.flush()
    assert samples_in_log() == Event.objects.count() == Series.objects.count() == 0


def test_a_committed_transaction_publishes_at_once() -> None:
    with transaction.atomic():
        publish_all()
    assert samples_in_log() == 1 + 1 + 4 + 1 + 17
    assert Event.objects.count() == 1


def test_what_is_refused_in_a_transaction_does_not_break_it(settings: Any) -> None:
    settings.SERIES_PER_METRIC = 0
    with transaction.atomic():
        publish.counter("orders_total")
        publish.gauge("load", math.nan)
        publish.event("deployed")
    assert publish.dropped() == 2
    assert Event.objects.count() == 1


def test_another_threads_transaction_is_not_ours(store: str) -> None:
    with transaction.atomic():
        publish.gauge("mine", 1)
        thread = threading.Thread(target=lambda: publish.gauge("theirs", 1))
        thread.start()
        thread.join()
        transaction.set_rollback(True)
    assert published("theirs") == [1.0]
    assert published("mine") == []
    assert samples_in_log() == 1
