"""manage.py forget: deletes a metric, or some of its series, with all that is stored of them."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metrics import deleting, vacuum
from metrics.clock import now_ms
from metrics.management.process import database_in_words
from metrics.models import Metric
from metrics.names import shown


class Command(BaseCommand):
    help = """Deletes a metric with all its series, or those of its series that have
the given labels, and everything stored of them. It cannot be undone.

Charts, publishers and other processes learn of it within a second; it may be
done while they run. What is still published begins anew with its next sample.

  python manage.py forget orders_total                    the whole metric
  python manage.py forget orders_total --label region=eu  some of its series
  python manage.py forget orders_total --yes              without asking"""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keeps the line breaks of the help."""
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("metric", help="the metric's name")
        parser.add_argument(
            "--label",
            action="append",
            default=[],
            type=_label,
            metavar="NAME=VALUE",
            help="only series with this label; may be given several times",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(
        self, *, metric: str, label: list[tuple[str, str]], yes: bool, **options: Any
    ) -> None:
        with database_in_words("Run it again to go on."):
            self._forget(metric, dict(label), sure=yes)

    def _forget(self, name: str, labels: dict[str, str], *, sure: bool) -> None:
        if not Metric.objects.filter(name=name).exists():
            raise CommandError(f"There is no metric {shown(name)}.")
        ids = deleting.find(name, labels)
        if labels and not ids:
            given = ", ".join(f"{key}={value}" for key, value in labels.items())
            raise CommandError(f"{shown(name)} has no series with {given}.")
        what = f"{len(ids):,} series of {name}" if labels else f"{name} and its {len(ids):,} series"
        if not sure and not self._is_sure(what):
            raise CommandError("Nothing was deleted.")
        deleted = deleting.delete_series(ids) if labels else deleting.delete_metric(name)
        chunks = sum(deleting.sweep(None, now_ms()))
        for _ in vacuum.give_back(None, now_ms(), unused_s=0.0):
            continue
        self.stdout.write(f"Deleted: {deleted:,} series, {chunks:,} chunks.")

    def _is_sure(self, what: str) -> bool:
        if not sys.stdin.isatty():
            raise CommandError(f"This deletes {what}. Say --yes to do it without being asked.")
        answer = input(
            f"Delete {what}, with everything stored of them? It cannot be undone. [y/N] "
        )
        return answer.strip().lower() in ("y", "yes")


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ArgumentTypeError(f"{text!r} is no label: expected NAME=VALUE")
    return name, value
