"""Made-up numbers of a shop: visits, carts, orders, payments, stock, deploys and sales."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from dashboard.demo.moment import Moment, Wander, approach, chosen
from metrics.catalog import Description

NAME = "shop"
TITLE = "shop"

VISITS = {"search": 4.8, "social": 3.0, "direct": 2.4, "newsletter": 1.8}  # a second, usually
DEVICES = {"phone": 0.58, "desktop": 0.33, "tablet": 0.09}
REGIONS = {"north": 3.0, "east": 2.0, "south": 4.0, "west": 2.5}
STAY_S = 45.0
ORDERS_PER_VISIT = 0.055
CARTS_PER_VISITOR = 0.16
WAVES = ((2700.0, 0.35), (640.0, 0.12))  # seconds, and how much of the usual
BOUNDS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0)
QUANTILES = ("0.5", "0.95", "0.99")
REMEMBERED = 200  # checkouts that quantiles and the share of failures are of
RATIO_MEMORY_S = 300.0
REFILL_BELOW = 0.12


class Product(NamedTuple):
    """What is sold. It does not exist either."""

    name: str
    category: str
    price: float
    stock: int


PRODUCTS = (
    Product("Hammock", "garden", 59.0, 220),
    Product("Lantern", "garden", 24.5, 380),
    Product("Kettle", "kitchen", 38.0, 320),
    Product("Teapot", "kitchen", 45.0, 260),
    Product("Kite", "toys", 19.9, 400),
    Product("Puzzle", "toys", 14.5, 360),
    Product("Compass", "travel", 29.0, 280),
    Product("Umbrella", "travel", 22.0, 340),
)
CATEGORIES = tuple(dict.fromkeys(product.category for product in PRODUCTS))

GAUGES = {
    "demo_shop_visitors": ("count", "People in the shop now, by device"),
    "demo_shop_carts": ("count", "Carts with something in them"),
    "demo_shop_stock": ("count", "Pieces in stock"),
    "demo_shop_conversion_ratio": ("ratio", "Orders per visit, of some minutes"),
    "demo_shop_payment_failures_ratio": ("ratio", f"Failures of the last {REMEMBERED} payments"),
    "demo_shop_checkout_seconds": ("seconds", f"Quantiles of the last {REMEMBERED} checkouts"),
}
COUNTERS = {
    "demo_shop_visits_total": ("count", "Visits, by where people came from"),
    "demo_shop_orders_total": ("count", "Orders paid, by region"),
    "demo_shop_revenue_total": ("", "Money taken, by category"),
    "demo_shop_payments_total": ("count", "Attempts to pay, by how they ended"),
    "demo_shop_checkout_seconds_sum": ("seconds", "Time that all checkouts took"),
    "demo_shop_checkout_seconds_count": ("count", "Checkouts"),
}
DESCRIPTIONS = {
    **{n: Description("gauge", u, f"Demo, made up: {h}.") for n, (u, h) in GAUGES.items()},
    **{n: Description("counter", u, f"Demo, made up: {h}.") for n, (u, h) in COUNTERS.items()},
    "demo_shop_checkout_seconds_bucket": Description(
        "histogram", "count", "Demo, made up: Checkouts that took at most so many seconds."
    ),
}


class Episode:
    """Something that begins now and then, and lasts a while."""

    def __init__(self, rng: np.random.Generator, every_s: float, lasts_s: float) -> None:
        self._rng = rng
        self._every_s = every_s
        self._lasts_s = lasts_s
        self._until_s = every_s * float(rng.uniform(0.05, 0.35))  # the first one soon
        self.on = False

    def step(self, seconds: float) -> str:
        """ "begins" or "ends" where it does in these seconds; else nothing."""
        self._until_s -= seconds
        if self._until_s > 0:
            return ""
        self.on = not self.on
        self._until_s = self._lasts_s if self.on else float(self._rng.exponential(self._every_s))
        return "begins" if self.on else "ends"


class Shop:
    """The simulation; see moment.Simulation."""

    def __init__(self, seed: int | None) -> None:
        self._rng = rng = np.random.default_rng(seed)
        self._elapsed_s = 0.0
        self._interest = {source: Wander(rng, 0.12, 120.0) for source in VISITS}
        self._mix = {device: Wander(rng, 0.05, 300.0) for device in DEVICES}
        self._slowness = Wander(rng, 0.12, 200.0)
        self._sale = Episode(rng, 1200.0, 150.0)
        self._trouble = Episode(rng, 1800.0, 100.0)
        self._deploy = Episode(rng, 1500.0, 45.0)
        self._version = 1
        self._visitors = STAY_S * sum(VISITS.values())
        self._orders, self._visits = ORDERS_PER_VISIT, 1.0  # a second, smoothed; the ratio counts
        self._stock = {p.name: int(rng.integers(p.stock // 3, p.stock)) for p in PRODUCTS}
        self._took_s: deque[float] = deque(maxlen=REMEMBERED)
        self._failed: deque[bool] = deque(maxlen=REMEMBERED)

    def step(self, seconds: float) -> Moment:
        moment = Moment()
        if not self._elapsed_s:
            moment.tell("shop opens")
        self._elapsed_s += seconds
        self._happen(moment, seconds)
        visits = self._come(moment, seconds)
        wish = ORDERS_PER_VISIT * (1.7 if self._sale.on else 1.0)
        orders = self._check_out(moment, int(self._rng.binomial(visits, wish)), seconds)
        self._visits = approach(self._visits, visits / seconds, seconds, RATIO_MEMORY_S)
        self._orders = approach(self._orders, orders / seconds, seconds, RATIO_MEMORY_S)
        moment.gauge("demo_shop_conversion_ratio", round(self._orders / self._visits, 5))
        self._deliver(moment)
        return moment

    def _happen(self, moment: Moment, seconds: float) -> None:
        sale = self._sale.step(seconds)
        if sale:
            moment.tell(f"flash sale {sale}", "A quarter off everything." if self._sale.on else "")
        trouble = self._trouble.step(seconds)
        if trouble:
            moment.tell(f"trouble at the payment provider {trouble}")
        if self._deploy.step(seconds) == "begins":
            self._version += 1
            moment.tell(f"version 4.{self._version} deployed", "Slower while caches fill.")

    def _come(self, moment: Moment, seconds: float) -> int:
        """How many visits there were."""
        wave = 1.0 + sum(
            height * math.sin(2 * math.pi * self._elapsed_s / period) for period, height in WAVES
        )
        wave *= 1.6 if self._sale.on else 1.0
        total = 0
        for source, usual in VISITS.items():
            rate = usual * wave * math.exp(self._interest[source].step(seconds))
            visits = int(self._rng.poisson(rate * seconds))
            moment.count("demo_shop_visits_total", visits, source=source)
            total += visits
        inside = STAY_S * sum(VISITS.values()) * wave
        self._visitors = approach(self._visitors, inside, seconds, STAY_S)
        for device, share in DEVICES.items():
            there = self._visitors * share * math.exp(self._mix[device].step(seconds))
            moment.gauge("demo_shop_visitors", round(there), device=device)
        carts = self._visitors * CARTS_PER_VISITOR * (1.4 if self._sale.on else 1.0)
        moment.gauge("demo_shop_carts", int(self._rng.poisson(carts * 4) / 4))
        return total

    def _check_out(self, moment: Moment, attempts: int, seconds: float) -> int:
        """How many of these attempts became orders."""
        paid = dict.fromkeys(REGIONS, 0)
        money = dict.fromkeys(CATEGORIES, 0.0)
        outcomes = {"paid": 0, "declined": 0, "timeout": 0}
        slow = math.exp(self._slowness.step(seconds)) * (1.8 if self._deploy.on else 1.0)
        for _ in range(attempts):
            outcome = self._pay()
            outcomes[outcome] += 1
            late = 2.5 if outcome == "timeout" else 0.0
            took_s = late + 0.38 * slow * float(self._rng.lognormal(0.0, 0.45))
            self._took_s.append(took_s)
            self._failed.append(outcome != "paid")
            moment.observe("demo_shop_checkout_seconds", round(took_s, 4), BOUNDS)
            if outcome == "paid" and (product := self._sell()):
                paid[chosen(self._rng, REGIONS)] += 1
                money[product.category] += product.price * (0.75 if self._sale.on else 1.0)
        for region, count in paid.items():
            moment.count("demo_shop_orders_total", count, region=region)
        for category, sum_ in money.items():
            moment.count("demo_shop_revenue_total", round(sum_, 2), category=category)
        for outcome, count in outcomes.items():
            moment.count("demo_shop_payments_total", count, outcome=outcome)
        self._tell_checkouts(moment)
        return sum(paid.values())

    def _pay(self) -> str:
        chances = {"paid": 0.965, "declined": 0.03, "timeout": 0.005}
        if self._trouble.on:
            chances = {"paid": 0.72, "declined": 0.10, "timeout": 0.18}
        return chosen(self._rng, chances)

    def _sell(self) -> Product | None:
        """One piece of something that is there."""
        left = {name: float(count) for name, count in self._stock.items() if count > 0}
        if not left:
            return None
        name = chosen(self._rng, dict.fromkeys(left, 1.0))
        self._stock[name] -= 1
        return next(product for product in PRODUCTS if product.name == name)

    def _tell_checkouts(self, moment: Moment) -> None:
        if not self._took_s:
            return
        for quantile in QUANTILES:
            seconds = float(np.quantile(list(self._took_s), float(quantile)))
            moment.gauge("demo_shop_checkout_seconds", round(seconds, 4), quantile=quantile)
        failed = sum(self._failed) / len(self._failed)
        moment.gauge("demo_shop_payment_failures_ratio", round(failed, 4))

    def _deliver(self, moment: Moment) -> None:
        for product in PRODUCTS:
            if self._stock[product.name] < REFILL_BELOW * product.stock:
                self._stock[product.name] = product.stock
            moment.gauge("demo_shop_stock", self._stock[product.name], product=product.name)
