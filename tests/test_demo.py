"""manage.py demo: what is refused, and the numbers it makes up."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command

from dashboard.demo import shop, ticker
from dashboard.demo.installing import DEMOS, Demo
from dashboard.demo.moment import PREFIX, Moment, Point
from dashboard.models import Dashboard
from metrics.models import Event, Metric
from metrics.names import check_labels, check_metric

MOST_SERIES = 70  # of a demo
each_demo = pytest.mark.parametrize("demo", DEMOS.values(), ids=DEMOS)


def moments(
    demo: Demo, seed: int | None = 7, steps: int = 600, seconds: float = 0.5
) -> list[Moment]:
    simulation = demo.begin(seed)
    return [simulation.step(seconds) for _ in range(steps)]


def readings(demo: Demo) -> dict[str, dict[tuple[tuple[str, str], ...], list[float]]]:
    """Of live steps, and of the long ones of a past: all gauges, by name and labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], list[float]]] = {}
    for moment in [*moments(demo), *moments(demo, steps=300, seconds=20.0)]:
        for name, value, labels in moment.gauges:
            found.setdefault(name, defaultdict(list))[tuple(labels.items())].append(value)
    return found


def points(moment: Moment) -> Iterator[Point]:
    yield from moment.gauges
    yield from moment.increments
    for observation in moment.observations:
        yield from observation.increments()


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["casino"], "there is no demo 'casino': expected ticker or shop"),
        (["--rate", "0"], "'0' is not a rate: expected updates a second from 0.1 to 20"),
        (["--rate", "21"], "'21' is not a rate"),
        (["--rate", "nan"], "'nan' is not a rate"),
        (["--rate", "often"], "'often' is not a rate"),
        (["--history", "10s"], "'10s' is not a past: expected such as 90m or 6h, 1m to 24h"),
        (["--history", "2d"], "'2d' is not a past"),
        (["--history", "yesterday"], "'yesterday' is not a past"),
        (["--seed", "-1"], "'-1' is not a seed: expected a whole number, 0 or more"),
        (["--seed", "x"], "'x' is not a seed"),
        (["--remove", "--history", "6h"], "--remove deletes and --history publishes: say one"),
    ],
)
@pytest.mark.django_db
def test_what_makes_no_sense_is_refused_in_a_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("demo", *arguments)
    assert sentence in str(refused.value)
    assert not Metric.objects.filter(name__startswith="demo_").exists()


@pytest.mark.django_db
def test_a_new_installation_has_nothing_of_the_demo() -> None:
    assert not Dashboard.objects.filter(slug__startswith="demo").exists()
    out = io.StringIO()
    call_command("demo", "--remove", stdout=out)
    assert out.getvalue() == "Nothing of the demo is here.\n"
    assert not Event.objects.exists()


# --- the numbers -------------------------------------------------------------------------------


@each_demo
def test_the_same_seed_makes_the_same_numbers(demo: Demo) -> None:
    assert moments(demo, 7) == moments(demo, 7)
    assert moments(demo, 7) != moments(demo, 8)
    assert moments(demo, None) != moments(demo, None)


@each_demo
def test_everything_is_named_and_described_as_a_demo(demo: Demo) -> None:
    published = {point.name for moment in moments(demo) for point in points(moment)}
    assert published == set(demo.descriptions)
    for name, said in demo.descriptions.items():
        check_metric(name)
        assert name.startswith(f"demo_{demo.name}_")
        assert said.help.startswith("Demo, made up: ")
    assert PREFIX == "Demo: "


@each_demo
def test_series_are_few_and_the_same_from_step_to_step(demo: Demo) -> None:
    some = moments(demo)
    series = {(p.name, *sorted(p.labels.items())) for moment in some for p in points(moment)}
    assert len(series) <= MOST_SERIES
    for moment in some:
        names = [(p.name, *sorted(p.labels.items())) for p in moment.gauges + moment.increments]
        assert len(names) == len(set(names)), "one value each in a step"
        for point in points(moment):
            check_labels(point.labels)


@each_demo
def test_counters_never_fall(demo: Demo) -> None:
    for moment in [*moments(demo), *moments(demo, steps=300, seconds=20.0)]:
        assert all(point.value >= 0 for point in moment.increments)
        for observation in moment.observations:
            assert all(point.value >= 0 for point in observation.increments())


@each_demo
def test_shares_are_shares(demo: Demo) -> None:
    found = readings(demo)
    for name in (name for name in found if name.endswith(("_ratio", "_percent"))):
        most = 100 if name.endswith("_percent") else 1
        for values in found[name].values():
            assert -most <= min(values) <= max(values) <= most, name
            assert len(set(values)) > 10, f"{name} moves"


@each_demo
def test_something_happens_in_an_hour_and_not_too_much(demo: Demo) -> None:
    hour = moments(demo, steps=360, seconds=10.0)
    events = [event for moment in hour for event in moment.events]
    assert 2 <= len(events) <= 30
    assert all(event.title for event in events)


def test_prices_lie_between_bid_and_ask_and_are_above_zero() -> None:
    found = readings(DEMOS["ticker"])
    for instrument in ticker.INSTRUMENTS:
        label = ("instrument", instrument.name)
        prices = found["demo_ticker_price"][(label,)]
        bids = found["demo_ticker_quote"][label, ("side", "bid")]
        asks = found["demo_ticker_quote"][label, ("side", "ask")]
        assert len(prices) == len(bids) == len(asks)
        for price, bid, ask in zip(prices, bids, asks, strict=True):
            assert 0 < bid <= price <= ask < 10 * instrument.price


def test_a_shop_sells_only_what_it_has() -> None:
    stock = readings(DEMOS["shop"])["demo_shop_stock"]
    for product in shop.PRODUCTS:
        values = stock[(("product", product.name),)]
        assert 0 <= min(values) < max(values) <= product.stock


def test_every_payment_that_succeeded_is_an_order() -> None:
    ends: dict[str, float] = defaultdict(float)
    for moment in moments(DEMOS["shop"], steps=1000):
        for name, by, labels in moment.increments:
            ends[labels.get("outcome", name)] += by
        ends["checkouts"] += len(moment.observations)
    assert ends["paid"] == ends["demo_shop_orders_total"] > 50
    assert ends["checkouts"] == ends["paid"] + ends["declined"] + ends["timeout"]
