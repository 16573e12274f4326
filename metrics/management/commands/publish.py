"""manage.py publish: one sample from a shell or a cron job, or many from standard input."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, get_args

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metrics import catalog, intake
from metrics.clock import now_ms
from metrics.management.process import database_in_words
from metrics.names import check_metric, shown
from metrics.refused import Refused
from metrics.samples import Accepted, Kind, Sample

LINES_PER_BATCH = 5_000
UNIT_CHARACTERS = 20


class Command(BaseCommand):
    help = "Stores one sample and says what was stored; it appears in open dashboards at once."
    requires_system_checks: list[str] = []  # they would take a third of its time

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("metric", nargs="?", help="such as orders_total")
        parser.add_argument("value", nargs="?", help="such as 3 or -0.5")
        parser.add_argument(
            "--kind",
            choices=get_args(Kind),
            default="gauge",
            help="what the value is: a gauge's or a counter's reading, or an increment of a "
            "counter (default: gauge)",
        )
        parser.add_argument(
            "--label", action="append", default=[], metavar="NAME=VALUE", help="may be repeated"
        )
        parser.add_argument("--time", help="ms since 1970, or such as 2026-11-20T13:00:01Z")
        parser.add_argument("--unit", default="", help="such as bytes or seconds")
        parser.add_argument("--json", action="store_true", help="answer in JSON")
        parser.add_argument(
            "--stdin", action="store_true", help='read lines "metric value name=value ..."'
        )

    def handle(self, *args: Any, **options: Any) -> None:
        publish = self._publish_lines if options["stdin"] else self._publish_one
        try:
            with database_in_words():
                publish(options)
        except Refused as refused:
            raise CommandError(f"Nothing was stored: {_plain(refused)}") from None

    def _publish_one(self, options: dict[str, Any]) -> None:
        if options["metric"] is None or options["value"] is None:
            raise CommandError("Expected a metric and a value: manage.py publish orders_total 3")
        sample = Sample(
            metric=options["metric"],
            value=_number(options["value"]),
            labels=_labels(options["label"]),
            time=_time_ms(options["time"]) if options["time"] else None,
            kind=options["kind"],
        )
        at_ms = now_ms()
        accepted = _store([sample], at_ms, options["unit"])
        stored_ms = sample.time if sample.time is not None else at_ms
        if options["json"]:
            self.stdout.write(json.dumps(_report(sample, accepted, stored_ms), ensure_ascii=False))
        else:
            self.stdout.write(_sentence(sample, accepted, stored_ms))
        self._warn(accepted)

    def _publish_lines(self, options: dict[str, Any]) -> None:
        if options["metric"] is not None or options["time"]:
            raise CommandError("With --stdin the metrics come from standard input, without --time.")
        stored, batch = 0, []
        common = _labels(options["label"])
        for number, line in enumerate(_text_lines(sys.stdin), start=1):
            if line and not line.startswith("#"):
                batch.append(_parse_line(number, line, common, options["kind"]))
            if len(batch) >= LINES_PER_BATCH:
                stored += self._store_lines(batch, stored, options["unit"])
                batch = []
        stored += self._store_lines(batch, stored, options["unit"])
        if options["json"]:
            self.stdout.write(json.dumps({"stored": stored}))
        else:
            self.stdout.write(f"Stored {stored} samples")

    def _store_lines(self, batch: list[tuple[int, Sample]], stored_before: int, unit: str) -> int:
        if not batch:
            return 0
        try:
            accepted = _store([sample for _, sample in batch], now_ms(), unit)
        except Refused as refused:
            where = _line_of(refused, [number for number, _ in batch])
            before = f" ({stored_before} earlier samples are stored)" if stored_before else ""
            raise CommandError(f"{where}{_plain(refused)}{before}") from None
        self._warn(accepted)
        return accepted.stored

    def _warn(self, accepted: Accepted) -> None:
        for warning in accepted.warnings:
            self.stderr.write(warning)


def _store(samples: list[Sample], at_ms: int, unit: str) -> Accepted:
    """Stores the samples; then gives metrics that have none their unit."""
    if len(unit) > UNIT_CHARACTERS or not unit.isprintable():
        raise CommandError(f"A unit has at most {UNIT_CHARACTERS} printable characters.")
    accepted = intake.accept(samples, now_ms=at_ms)
    if unit:
        kinds: dict[str, str] = {sample.metric: sample.kind for sample in samples}
        catalog.describe(
            {
                name: catalog.Description("gauge" if kind == "gauge" else "counter", unit)
                for name, kind in kinds.items()
            }
        )
    return accepted


def _sentence(sample: Sample, accepted: Accepted, stored_ms: int) -> str:
    detail: str = sample.kind
    if 0 in accepted.totals:
        detail += f"; total now {_short(accepted.totals[0])}"
    moment = datetime.fromtimestamp(stored_ms / 1000, UTC)
    clock = f"{moment:%Y-%m-%d %H:%M:%S}.{stored_ms % 1000:03d} UTC"
    return f"Stored {_series(sample)} {_short(sample.value)} ({detail}) at {clock}"


def _report(sample: Sample, accepted: Accepted, stored_ms: int) -> dict[str, Any]:
    report: dict[str, Any] = {
        "stored": accepted.stored,
        "metric": sample.metric,
        "labels": dict(sample.labels),
        "value": sample.value,
        "kind": sample.kind,
        "time": stored_ms,
    }
    if 0 in accepted.totals:
        report["total"] = accepted.totals[0]
    return report


def _series(sample: Sample) -> str:
    inside = ",".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in sorted(sample.labels.items())
    )
    return f"{sample.metric}{{{inside}}}" if inside else sample.metric


def _short(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise CommandError(f"{shown(text)} is not a number: expected such as 3 or -0.5") from None
    if not math.isfinite(value):
        raise CommandError(f"{shown(text)} cannot be stored: expected a finite number")
    return value


def _labels(pairs: Iterable[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise CommandError(f"{shown(pair)} is not a label: expected name=value")
        if name in labels:
            raise CommandError(f"The label {shown(name)} is given twice: expected it once")
        labels[name] = value
    return labels


def _time_ms(text: str) -> int:
    if re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise CommandError(
            f"{shown(text)} is not a time: expected ms since 1970, or such as "
            "2026-11-20T13:00:01Z (UTC where no zone is given)"
        ) from None


def _text_lines(stream: Iterable[str]) -> Iterable[str]:
    try:
        for line in stream:
            yield line.strip()
    except UnicodeDecodeError:
        raise CommandError("Standard input is not UTF-8 text.") from None


def _parse_line(number: int, line: str, common: dict[str, str], kind: Kind) -> tuple[int, Sample]:
    """A line "metric value name=value ..."; label values hold no white space."""
    parts = line.split()
    try:
        if len(parts) < 2:
            raise CommandError("expected a metric and a value")
        check_metric(parts[0])
        labels = {**common, **_labels(parts[2:])}
        return number, Sample(parts[0], _number(parts[1]), labels, None, kind)
    except (CommandError, ValueError) as error:
        raise CommandError(f"Line {number}: {error}") from None


def _plain(refused: Refused) -> str:
    """The refusal without the place in a list that nobody wrote here."""
    field = re.sub(r"^samples\[\d+\]\.?", "", refused.item)
    return f"{field}: {refused.message}" if field else refused.message


def _line_of(refused: Refused, numbers: list[int]) -> str:
    found = re.match(r"samples\[(\d+)\]", refused.item)
    return f"Line {numbers[int(found[1])]}: " if found else ""
