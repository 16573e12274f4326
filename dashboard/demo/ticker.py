"""Made-up numbers of a market: prices that wander, quotes, trades, headlines."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dashboard.demo.moment import Moment, Wander, approach
from metrics.catalog import Description

NAME = "ticker"
TITLE = "market ticker"

SESSION_S = 4800.0  # then the market opens anew
HEADLINE_EVERY_S = 600.0  # on the average
PRICE_MEMORY_S = 3600.0
HASTE_MEMORY_S = 300.0
SHARED = 0.5  # how much of a price's way is the whole market's
SMOOTHED_S = 60.0


class Instrument(NamedTuple):
    """What is traded. It does not exist.

    `sway` is the standard deviation of its price, a share of it; `trades` come each second.
    """

    name: str
    price: float
    sway: float
    trades: float
    good_news: str
    bad_news: str


INSTRUMENTS = (
    Instrument("ACORN", 48.20, 0.022, 1.6, "finds more acorns than expected", "has squirrels"),
    Instrument("BADGER", 127.50, 0.018, 1.1, "digs a second tunnel", "digs in the wrong place"),
    Instrument("COMET", 311.00, 0.040, 2.4, "is back a year early", "is late again"),
    Instrument("DRIFT", 19.75, 0.030, 0.9, "catches a fair wind", "runs aground"),
    Instrument("EMBER", 74.10, 0.026, 1.4, "glows brighter", "is rained upon"),
    Instrument("FJORD", 205.40, 0.014, 0.7, "turns out to be deeper", "freezes over"),
)

GAUGES = {
    "demo_ticker_price": ("", "Price of the last trade"),
    "demo_ticker_quote": ("", "Best bid and best ask"),
    "demo_ticker_spread_ratio": ("ratio", "Distance of bid and ask, as a share of the price"),
    "demo_ticker_change_ratio": ("ratio", "Change of the price since the market opened"),
    "demo_ticker_index": ("", "All instruments together; 100 is where they come from"),
    "demo_ticker_buyers_ratio": ("ratio", "Share of the trades of a minute that buyers began"),
    "demo_ticker_haste_percent": ("percent", "How hastily people trade; 50 is usual"),
}
COUNTERS = {
    "demo_ticker_trades_total": ("count", "Trades, by who began them"),
    "demo_ticker_volume_total": ("count", "Pieces traded"),
    "demo_ticker_turnover_total": ("", "Money that changed hands"),
}
DESCRIPTIONS = {
    **{n: Description("gauge", u, f"Demo, made up: {h}.") for n, (u, h) in GAUGES.items()},
    **{n: Description("counter", u, f"Demo, made up: {h}.") for n, (u, h) in COUNTERS.items()},
}


class _Line:
    """One instrument on its way."""

    def __init__(self, rng: np.random.Generator, instrument: Instrument) -> None:
        self.instrument = instrument
        own = instrument.sway * math.sqrt(1 - SHARED**2)
        self.way = Wander(rng, own, PRICE_MEMORY_S)
        self.haste = Wander(rng, 0.45, HASTE_MEMORY_S)
        self.price = self.opened_at = instrument.price

    def move(self, market: float, seconds: float) -> float:
        """The new price, whole hundredths and never 0; `market` is everybody's part of the way."""
        way = self.way.step(seconds) + SHARED * self.instrument.sway * market
        self.price = max(0.01, round(self.instrument.price * math.exp(way), 2))
        return self.price


class Market:
    """The simulation; see moment.Simulation."""

    def __init__(self, seed: int | None) -> None:
        self._rng = np.random.default_rng(seed)
        self._market = Wander(self._rng, 1.0, PRICE_MEMORY_S)
        self._lines = [_Line(self._rng, one) for one in INSTRUMENTS]
        self._open_s = 0.0  # until the next session
        self._headline_s = HEADLINE_EVERY_S / 10  # until the next one: whoever looks sees one soon
        self._buyers = 0.5

    def step(self, seconds: float) -> Moment:
        moment = Moment()
        market = self._market.step(seconds)
        self._news(moment, seconds)
        for line in self._lines:
            line.move(market, seconds)
        self._session(moment, seconds)
        for line in self._lines:
            self._trade(moment, line, seconds)
        prices = [line.price / line.instrument.price for line in self._lines]
        moment.gauge("demo_ticker_index", round(100 * sum(prices) / len(prices), 3))
        moment.gauge("demo_ticker_buyers_ratio", round(self._buyers, 4))
        haste = [math.exp(line.haste.value) for line in self._lines]
        moment.gauge(
            "demo_ticker_haste_percent", round(min(100.0, 50 * sum(haste) / len(haste)), 1)
        )
        return moment

    def _session(self, moment: Moment, seconds: float) -> None:
        self._open_s -= seconds
        if self._open_s <= 0:
            self._open_s += SESSION_S
            for line in self._lines:
                line.opened_at = line.price
            moment.tell("market opens", "Changes are counted from here.")

    def _news(self, moment: Moment, seconds: float) -> None:
        self._headline_s -= seconds
        if self._headline_s > 0:
            return
        self._headline_s = float(self._rng.exponential(HEADLINE_EVERY_S))
        line = self._lines[int(self._rng.integers(len(self._lines)))]
        good = bool(self._rng.random() < 0.5)
        jump = line.instrument.sway * float(self._rng.uniform(0.5, 1.2))
        line.way.value += jump if good else -jump
        line.haste.value += 1.0
        said = line.instrument.good_news if good else line.instrument.bad_news
        moment.tell(f"{line.instrument.name} {said}", f"It was last traded at {line.price:.2f}.")

    def _trade(self, moment: Moment, line: _Line, seconds: float) -> None:
        name, price = line.instrument.name, line.price
        haste = math.exp(line.haste.step(seconds))
        spread = 0.0006 * haste * float(self._rng.uniform(0.9, 1.1))
        change = price / line.opened_at - 1
        moment.gauge("demo_ticker_price", price, instrument=name)
        moment.gauge("demo_ticker_spread_ratio", round(spread, 6), instrument=name)
        moment.gauge("demo_ticker_change_ratio", round(change, 6), instrument=name)
        for side, sign in (("bid", -1), ("ask", 1)):
            quote = round(price * (1 + sign * spread / 2), 2)
            moment.gauge("demo_ticker_quote", quote, instrument=name, side=side)
        trades = int(self._rng.poisson(line.instrument.trades * haste * seconds))
        wish = 0.5 + 0.3 * math.tanh(change / line.instrument.sway)
        bought = int(self._rng.binomial(trades, wish))
        if trades:
            weight = min(SMOOTHED_S, seconds * trades / len(self._lines))
            self._buyers = approach(self._buyers, bought / trades, weight, SMOOTHED_S)
        pieces = int(self._rng.geometric(0.02, trades).sum())  # 50 each, on the average
        moment.count("demo_ticker_trades_total", bought, instrument=name, side="buy")
        moment.count("demo_ticker_trades_total", trades - bought, instrument=name, side="sell")
        moment.count("demo_ticker_volume_total", pieces, instrument=name)
        moment.count("demo_ticker_turnover_total", round(pieces * price, 2), instrument=name)
