"""manage.py import: samples from CSV and OpenMetrics files."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from metrics.clock import now_ms
from metrics.moving import text_lines, times
from metrics.moving.command import MovingCommand
from metrics.moving.csv_in import CsvReader, Dialect
from metrics.moving.csv_layout import Mapping
from metrics.moving.importing import Choices, Found, Import, thinned_after_days
from metrics.moving.openmetrics_in import OpenMetricsReader, looks_like_it
from metrics.moving.progress import Progress
from metrics.moving.samples_in import Reader
from metrics.moving.text_lines import TextFile


class Command(MovingCommand):
    help = (
        "Stores the samples of CSV files (one column per series, or one row per sample) and of "
        "OpenMetrics or Prometheus text with times. Files may be packed with gzip; - is standard "
        "input. The columns' meaning is guessed from the first line and said; --dry-run only "
        "says it. Files are checked first: with bad lines nothing is stored, or, with --skip-bad, "
        "all but them. An import that was stopped, even by a power cut, goes on when the same "
        "command is run again within a day. Open dashboards show what comes in."
    )
    examples = """
examples:
  manage.py import nyc_taxi.csv --metric nyc_taxi_passengers
      timestamp,value                      one value a row, of one metric
  manage.py import rooms.csv --name "room_{column}_celsius" --timezone Europe/Berlin
      time;kitchen;bath                    a metric for each column
  manage.py import rooms.csv --metric room_celsius --column-label room
      the same columns                     one metric, a label for each column
  manage.py import long.csv --metric-column what --label host=instance --time-format ms
      time,what,host,value                 a metric named in each row
  manage.py import dump.om                 from promtool tsdb dump-openmetrics
"""

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("files", nargs="+", metavar="FILE", help="CSV or OpenMetrics; - for standard input")
        add("--format", choices=("auto", "csv", "openmetrics"), default="auto")
        columns = parser.add_argument_group("CSV: what is in which column (name, or number from 1)")
        add = columns.add_argument
        add("--time", default="", metavar="COLUMN", help="default: one named time or the like")
        add("--metric", default="", metavar="NAME", help="the metric all values belong to")
        add("--metric-column", default="", metavar="COLUMN", help="names the metric of each row")
        add("--value", action="append", default=[], metavar="COLUMN", help="may be repeated")
        add(
            "--label",
            action="append",
            default=[],
            metavar="COLUMN[=NAME]",
            help="a column that becomes a label; may be repeated (default with one value a row: "
            "every column left)",
        )
        add("--name", default="", metavar="TEMPLATE", help="such as {file}_{column}")
        add("--column-label", default="column", metavar="NAME", help="see the third example")
        add("--set-label", action="append", default=[], metavar="NAME=VALUE", help="for all rows")
        written = parser.add_argument_group("CSV: how it is written")
        add = written.add_argument
        add("--delimiter", default="", help="default: found in the first line; \\t for a tab")
        add("--no-header", action="store_true", help="the first line is data already")
        add("--decimal-comma", action="store_true", help="3,5 is three and a half")
        add("--encoding", default="utf-8", help="such as cp1252")
        add("--exported", action="store_true", help="from manage.py export: undo its ' before =")
        meaning = parser.add_argument_group("what it means")
        add = meaning.add_argument
        add(
            "--time-format",
            default="auto",
            help="auto, iso, s, ms, us, ns (since 1970), or a pattern such as %%d.%%m.%%Y %%H:%%M",
        )
        add("--timezone", default="UTC", help="of times that name none, such as Europe/Berlin")
        add("--kind", choices=("gauge", "counter"), default="gauge")
        add("--unit", default="", help="such as celsius, for metrics that have none")
        add(
            "--keep-samples",
            type=int,
            metavar="DAYS",
            help="keep these metrics' samples so long, 0 for ever; default: as the settings say",
        )
        what = parser.add_argument_group("what to do")
        add = what.add_argument
        add("--dry-run", action="store_true", help="read and check, store nothing")
        add("--skip-bad", action="store_true", help="leave bad lines out and store the others")
        add("--bad-lines", type=int, default=20, metavar="N", help="show so many (default: 20)")
        add("--again", action="store_true", help="store also what an earlier import has stored")

    def do(self, options: dict[str, Any]) -> None:
        choices = _choices(options)
        with ExitStack() as open_files:
            imports = []
            for name in options["files"]:
                file = open_files.enter_context(text_lines.opened(name, options["encoding"]))
                reader = _reader(file, options)
                self.stdout.write(f"{name}: {reader.sentence}")
                imports.append((file, Import(file, reader, choices)))
            if options["dry_run"] or not options["skip_bad"]:
                self._check(imports, options)
            if not options["dry_run"]:
                for file, one in imports:
                    self._store(file, one, options)

    def _check(self, imports: list[tuple[TextFile, Import]], options: dict[str, Any]) -> None:
        bad = 0
        for file, one in imports:
            progress = Progress(self.progress(options), f"Checking {file.name}", file.size_bytes)
            found = one.check(progress)
            progress.end(f"{file.name}: {_holds(found)}")
            self._show_bad(file, found)
            bad += found.bad_lines
        if bad:
            lines = "1 line" if bad == 1 else f"{bad:,} lines"
            raise CommandError(
                f"{lines} cannot be taken; nothing was stored. Correct them, or leave them out "
                "with --skip-bad."
            )

    def _store(self, file: TextFile, one: Import, options: dict[str, Any]) -> None:
        progress = Progress(self.progress(options), f"Storing {file.name}", file.size_bytes)
        found = one.store(progress)
        progress.end()
        if options["skip_bad"]:
            self._show_bad(file, found)
        said = f"Stored {found.samples - found.before:,} samples from {file.name}"
        if found.before:
            said += f"; {found.before:,} were stored by an earlier import"
        if found.bad_lines:
            said += f"; {found.bad_lines:,} bad lines left out"
        self.stdout.write(said)
        days = thinned_after_days(found, now_ms())
        if days:
            self.stderr.write(
                f"Samples older than {days} days are soon kept as rollups only: to "
                "keep them as they are, run this again with --keep-samples 0."
            )

    def _show_bad(self, file: TextFile, found: Found) -> None:
        for bad in found.bad:
            self.stderr.write(f"{file.name}, line {bad.line}: {bad.reason}")
        more = found.bad_lines - len({bad.line for bad in found.bad})
        if more > 0:
            self.stderr.write(f"{file.name}: and {more:,} more bad lines")


def _choices(options: dict[str, Any]) -> Choices:
    keep_days, unit = options["keep_samples"], options["unit"]
    if keep_days is not None and not 0 <= keep_days < 100_000:
        raise CommandError("--keep-samples: expected days, or 0 for ever.")
    if len(unit) > 20 or not unit.isprintable():
        raise CommandError("A unit has at most 20 printable characters.")
    return Choices(max(0, options["bad_lines"]), keep_days, unit, options["again"])


def _reader(file: TextFile, options: dict[str, Any]) -> Reader:
    time = times.TimeReader(options["time_format"], times.zone(options["timezone"]), now_ms())
    format = options["format"]
    if format == "auto":
        with file.lines() as lines:
            first = next((line for line in lines if line.strip()), "")
        format = "openmetrics" if looks_like_it(first) else "csv"
    if format == "openmetrics":
        return OpenMetricsReader(time)
    delimiter = options["delimiter"].replace("\\t", "\t")
    if len(delimiter) > 1 or delimiter in ('"', "\n", "\r"):
        raise CommandError("--delimiter: expected one character, such as ; or \\t.")
    dialect = Dialect(
        delimiter, not options["no_header"], options["decimal_comma"], options["exported"]
    )
    mapping = Mapping(
        options["time"],
        options["metric"],
        options["metric_column"],
        tuple(options["value"]),
        tuple(_renamed(text) for text in options["label"]),
        tuple(_pair(text) for text in options["set_label"]),
        options["name"],
        options["column_label"],
    )
    return CsvReader(file, dialect, mapping, time, options["kind"])


def _renamed(text: str) -> tuple[str, str]:
    column, _, name = text.rpartition("=")
    return (column, name) if column else (name, name)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandError(f"--set-label {text!r}: expected NAME=VALUE.")
    return name, value


def _holds(found: Found) -> str:
    if not found.samples:
        return "no samples"
    first, last = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (found.first_ms, found.last_ms))
    names = sorted(found.metrics)
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
    return (
        f"{found.samples:,} samples of {shown}, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
    )
