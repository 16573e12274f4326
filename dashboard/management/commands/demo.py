"""manage.py demo: sample dashboards over made-up numbers, live."""

from __future__ import annotations

import sys
import threading
import time
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard import running
from dashboard.demo import installing
from dashboard.demo.installing import DEMOS, Demo
from dashboard.demo.live import Live
from dashboard.demo.moment import Simulation
from dashboard.demo.past import Past
from metrics import publish
from metrics.clock import now_ms
from metrics.management.process import check_migrated, database_in_words, set_by_signals
from metrics.notebook import duration_ms
from metrics.refused import Refused

SLOWEST, FASTEST = 0.1, 20.0
SHORTEST_MS, LONGEST_MS = 60_000, 86_400_000
FLUSH_S = 10.0
SAID_EVERY_S = 1.0


class Command(BaseCommand):
    """Runs until Ctrl-C or SIGTERM; see `help`."""

    help = """Publishes made-up numbers, live, and brings dashboards that show them: a market
ticker (prices, quotes, trades of instruments that do not exist) and a shop
(visits, orders, payments, checkout times, stock). Nothing is asked of any
other service.

It does what a background job of yours would do: metrics.publish, beside a
running server. Its dashboards come with its first run; from then on they are
the admin's, changed or deleted. Everything it stores is named demo_..., and
--remove takes it all away again.

  python manage.py demo                       both, until Ctrl-C
  python manage.py demo --history 6h          with six hours of past to begin with
  python manage.py demo shop --rate 10        only the shop, ten updates a second
  python manage.py demo ticker --seed 7       the same numbers each time
  python manage.py demo --remove              take dashboards, metrics, events away
  python manage.py demo shop --remove --yes   only the shop's, without asking"""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keeps the line breaks of the help."""
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("demos", nargs="*", type=_demo, metavar="DEMO",
            help=f"which: {' or '.join(DEMOS)} (default: both)")  # fmt: skip
        add("--rate", type=_rate, default=2.0, metavar="PER_SECOND",
            help=f"updates a second, {SLOWEST:g} to {FASTEST:g} (default: 2)")  # fmt: skip
        add("--history", type=_history_ms, default=0, metavar="LENGTH",
            help="publish a past of this length first, such as 90m or 6h, at most 24h; only where "
            "nothing of the demo is stored yet")  # fmt: skip
        add("--seed", type=_seed, metavar="NUMBER", help="the same seed makes the same numbers")
        add("--remove", action="store_true", help="delete all of it instead")
        add("--yes", action="store_true", help="with --remove: do not ask")

    def handle(self, *, demos: Sequence[Demo], **options: Any) -> None:
        check_migrated()
        chosen = list(dict.fromkeys(demos)) or list(DEMOS.values())
        with database_in_words("Run it again to go on."):
            if options["remove"]:
                if options["history"]:
                    raise CommandError("--remove deletes and --history publishes: say one of them.")
                self._remove(chosen, sure=options["yes"])
            else:
                stop = threading.Event()
                with set_by_signals(stop):
                    self._run(chosen, options, stop)

    def _run(self, demos: list[Demo], options: dict[str, Any], stop: threading.Event) -> None:
        names = " and ".join(demo.title for demo in demos)
        self._say(f"Demo: {names}. Every number is made up.")
        for demo in demos:
            self._bring(demo)
        simulations = {demo.name: demo.begin(options["seed"]) for demo in demos}
        if options["history"]:
            self._begin_with_a_past(demos, simulations, options["history"], stop)
        live = Live(simulations, options["rate"])
        if not stop.is_set():
            self._say(f"Publishing {options['rate']:g} times a second. Ctrl-C stops.")
        live.run(stop, self._progress(live))
        self._end(live)

    def _bring(self, demo: Demo) -> None:
        if not installing.install(demo):
            self._say(
                f"The dashboard of the {demo.title} was deleted and stays so; demo {demo.name} "
                "--remove, and then demo again, brings it back."
            )
            return
        server = running.find(settings.DATA_DIR)
        where = f"{server.url}/d/{demo.slug}/" if server else "on the page Dashboards"
        self._say(f"  {installing.content(demo)['title']}: {where}")

    def _begin_with_a_past(
        self,
        demos: list[Demo],
        simulations: dict[str, Simulation],
        length_ms: int,
        stop: threading.Event,
    ) -> None:
        pasts: dict[Demo, Past] = {}
        for demo in demos:
            if installing.has_data(demo):
                self._say(f"The {demo.title} has data already: its past stays as it is.")
            else:
                simulation = simulations[demo.name]
                pasts[demo] = Past(demo.name, simulation, length_ms, now_ms, self._say)
        try:
            for past in (*pasts.values(), *pasts.values()):  # twice: one waits for the other
                past.reach_now(stop)
            for demo, past in pasts.items():
                past.end(stop)
                self._say(f"The {demo.title} has a past of {past.stored:,} samples.")
        except Refused as refused:
            raise CommandError(f"The past was not published: {refused}.") from refused

    def _progress(self, live: Live) -> Callable[[], None]:
        """A line that is written over, for people at a terminal; nothing for a log file."""
        if not self.stdout.isatty():
            return lambda: None
        said_s = 0.0

        def say() -> None:
            nonlocal said_s
            if time.monotonic() - said_s >= SAID_EVERY_S:
                said_s = time.monotonic()
                text = f"{live.published:,} samples, {publish.dropped():,} dropped"
                self.stdout.write(f"\r{time.strftime('%H:%M:%S')}  {text} ", ending="")
                self.stdout.flush()

        return say

    def _end(self, live: Live) -> None:
        whole = publish.flush(FLUSH_S)
        line = "\n" if self.stdout.isatty() else ""
        if not whole or publish.dropped():
            raise CommandError(
                f"{line}Stopped. Of {live.published:,} samples {publish.dropped():,} were dropped, "
                f"and {'none' if whole else 'some'} could not be stored within {FLUSH_S:g} s."
            )
        self._say(f"{line}Stopped. {live.published:,} samples, all stored.")

    def _remove(self, demos: list[Demo], *, sure: bool) -> None:
        found = installing.find(demos)
        if not found:
            self._say("Nothing of the demo is here.")
            return
        if not sure and not self._is_sure(str(found)):
            raise CommandError("Nothing was deleted.")
        installing.remove(demos)
        self._say(f"Deleted: {found}.")

    def _is_sure(self, what: str) -> bool:
        if not sys.stdin.isatty():
            raise CommandError(f"This deletes {what}. Say --yes to do it without being asked.")
        answer = input(f"Delete {what}, with everything stored of them? [y/N] ")
        return answer.strip().lower() in ("y", "yes")

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()


def _demo(text: str) -> Demo:
    if text not in DEMOS:
        raise ArgumentTypeError(f"there is no demo {text!r}: expected {' or '.join(DEMOS)}")
    return DEMOS[text]


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not SLOWEST <= rate <= FASTEST:
        raise ArgumentTypeError(
            f"{text!r} is not a rate: expected updates a second from {SLOWEST:g} to {FASTEST:g}"
        )
    return rate


def _history_ms(text: str) -> int:
    try:
        length_ms = duration_ms(text)
    except ValueError:
        length_ms = 0
    if not SHORTEST_MS <= length_ms <= LONGEST_MS:
        raise ArgumentTypeError(f"{text!r} is not a past: expected such as 90m or 6h, 1m to 24h")
    return length_ms


def _seed(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise ArgumentTypeError(f"{text!r} is not a seed: expected a whole number, 0 or more")
    return int(text)
