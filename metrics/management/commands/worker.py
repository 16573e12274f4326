"""`manage.py worker`: the background jobs as a process of its own."""

from __future__ import annotations

import threading
from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connections

from metrics.collector import DESCRIPTIONS, Collector, Machine
from metrics.jobs import STEPS, Keeper
from metrics.management.process import check_migrated, set_by_signals


class Command(BaseCommand):
    """Runs until Ctrl-C or SIGTERM; see `help`."""

    help = """Does the background jobs: seals the log into chunks, sums them up for long ranges,
deletes what has expired. `manage.py serve` does this by itself; use this
command beside `serve --no-jobs`, to give the jobs a processor of their own.

Any number of workers and servers may run at once, on several machines too: a
lease in the database makes sure that one of them does the jobs. The others
wait; when that one stops, another goes on at once, and within 30 s when it
dies. Killing one loses nothing.

This machine is measured too. The samples of several machines would overwrite
each other: give --no-collect on all but one.

  python manage.py worker               until Ctrl-C
  python manage.py worker --no-collect  the jobs only"""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keeps the line breaks of the help."""
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-collect", action="store_true", help="do not measure this machine")

    def handle(self, *, no_collect: bool, **options: Any) -> None:
        check_migrated()
        names = ", ".join(step.name for step in STEPS)
        self._say(f"Background jobs: {names}. Ctrl-C stops.")
        stop = threading.Event()
        collecting = threading.Thread(target=_collect, args=(stop,), name="collector")
        with set_by_signals(stop):
            if not no_collect:
                collecting.start()
            try:
                Keeper(on_change=self._say_who_works).run(stop)
            finally:
                stop.set()
                if not no_collect:
                    collecting.join()
        self._say("Stopped.")

    def _say_who_works(self, here: bool) -> None:
        self._say(
            "This process does the jobs."
            if here
            else "Another process does the jobs; this one is ready to take over."
        )

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()


def _collect(stop: threading.Event) -> None:
    try:
        Collector(Machine(folders=[str(settings.DATA_DIR)]), DESCRIPTIONS).run_alone(stop)
    finally:
        connections.close_all()
