"""`manage.py collect`: the collector as a process of its own."""

from __future__ import annotations

import threading
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from metrics.clock import now_ms
from metrics.collector import DESCRIPTIONS, Collector, Machine
from metrics.management.process import check_migrated, database_in_words, set_by_signals
from metrics.refused import Refused

SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S = 0.1, 3600.0
MS_PER_SECOND = 1000


class Command(BaseCommand):
    """Runs until Ctrl-C or SIGTERM; see `help`."""

    help = """Measures this machine and publishes what it finds: processors, load, memory,
network, disks, file systems, processes, uptime. `manage.py serve` does this
by itself; use this command when its collector is switched off. Running both on
one machine does no harm: they store the same samples.

Samples are taken at whole multiples of the interval by the clock. A moment that
was missed is skipped, never made up for. When the database is busy, the command
says so and goes on trying.

  python manage.py collect                every second, until Ctrl-C
  python manage.py collect --interval 10  less often
  python manage.py collect --once         one measurement, for cron or a look"""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keeps the line breaks of the help."""
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--interval",
            type=_interval_ms,
            default=MS_PER_SECOND,
            metavar="SECONDS",
            help="seconds from one measurement to the next, 0.1 to 3600 (default: 1)",
        )
        parser.add_argument(
            "--once", action="store_true", help="measure and publish once, then end"
        )

    def handle(self, *, interval: int, once: bool, **options: Any) -> None:
        check_migrated()
        collector = Collector(
            Machine(folders=[str(settings.DATA_DIR)]), DESCRIPTIONS, interval_ms=interval
        )
        if once:
            self._collect_once(collector)
            return
        seconds = interval / MS_PER_SECOND
        self.stdout.write(f"Measuring this machine every {seconds:g} s. Ctrl-C stops.")
        self.stdout.flush()
        stop = threading.Event()
        with set_by_signals(stop):
            collector.run_alone(stop)
        self.stdout.write("Stopped.")

    def _collect_once(self, collector: Collector) -> None:
        try:
            with database_in_words("The measurement was not published."):
                count = collector.collect(now_ms())
        except Refused as error:
            raise CommandError(f"The measurement was not published: {error}.") from error
        self.stdout.write(f"Published {count} samples.")


def _interval_ms(text: str) -> int:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not SHORTEST_INTERVAL_S <= seconds <= LONGEST_INTERVAL_S:
        raise ArgumentTypeError(
            f"{text!r} is not an interval: expected seconds from {SHORTEST_INTERVAL_S:g} "
            f"to {LONGEST_INTERVAL_S:g}"
        )
    return round(seconds * MS_PER_SECOND)
