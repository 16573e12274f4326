"""manage.py export: samples of any range as CSV, JSON lines or Parquet."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandParser

from metrics.clock import now_ms
from metrics.moving import export, request
from metrics.moving.command import MovingCommand
from metrics.moving.progress import Progress
from metrics.moving.trouble import CannotMove
from metrics.query import EvaluationError


class Command(MovingCommand):
    help = (
        "Writes samples to a file or to standard output, however many there are. Without --step "
        "the samples themselves, series by series; with it the expression's value at each step, "
        "which also reaches back to where only rollups are kept. In CSV a text that a "
        "spreadsheet would take for a formula gets a ' before it (manage.py import --exported "
        "takes it away)."
    )
    examples = """
examples:
  manage.py export --metric nyc_taxi_passengers -o taxi.csv
  manage.py export 'cpu_seconds_total{mode="user"}' --from 24h --format jsonl -o -
  manage.py export 'sum by (mode) (rate(cpu_seconds_total[5m]))' --from 2026-01-01 --to now \\
      --step 5m --format parquet -o cpu.parquet
"""

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("expr", nargs="?", default="", metavar="EXPR", help="series or PromQL expression")
        add("--metric", default="", metavar="NAME", help="every series of this metric")
        moments = "now, 24h (ago), such as 2026-11-20T13:00 (UTC), s or ms since 1970"
        add("--from", default="", dest="start", metavar="TIME", help=f"from here on: {moments}")
        add("--to", default="", dest="end", metavar="TIME", help="up to, and without, this moment")
        add("--step", default="", help="such as 30s, 5m or 1h")
        add("--format", default="", help="csv (default), jsonl, or parquet with pyarrow installed")
        add("--time-format", default="", help="of CSV: iso (default), ms or s")
        add("-o", "--output", default="-", metavar="FILE", help="- is standard output (default)")

    def do(self, options: dict[str, Any]) -> None:
        names = ("expr", "metric", "start", "end", "step", "format", "time_format")
        wanted = request.make(**{name: options[name] for name in names}, now_ms=now_ms())
        try:
            found = wanted.export()
            if not found.series:
                raise CannotMove(f"No series is selected by {wanted.expression.text}.")
            samples = self._write(wanted, found, options)
        except EvaluationError as error:
            raise CannotMove(f"{error}") from None
        if options["verbosity"]:
            self.stderr.write(f"Exported {samples:,} samples of {found.series:,} series.")
            if not wanted.step_ms and export.only_rollups_before(wanted.selector):
                self.stderr.write(
                    "Older samples are no longer kept, only their rollups: --step 1h with --from "
                    "exports those."
                )

    def _write(self, wanted: request.Request, found: export.Export, options: dict[str, Any]) -> int:
        progress = Progress(self.progress(options), "Samples exported", 0)
        counted = progress.through(found.pieces, lambda piece: len(piece.times))
        written = wanted.written(export.Export(found.labels, found.series, counted))
        with _output(options["output"]) as file:
            for part in written:
                file.write(part)
        return progress.done


@contextmanager
def _output(name: str) -> Iterator[BinaryIO]:
    """Standard output, or a file that is there once it is whole."""
    if name == "-":
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # whoever read it has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    path = Path(name)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise CannotMove(f"{name} cannot be written: {error.strerror}.") from None
    finally:
        part.unlink(missing_ok=True)
