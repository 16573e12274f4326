"""OpenMetrics, and Prometheus's older text format, -> samples, line by line.

Samples need times; files written by `promtool tsdb dump-openmetrics` and the like have them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from metrics.moving.samples_in import Bad, Item
from metrics.moving.series_text import checked, read_series
from metrics.moving.text_lines import Lines
from metrics.moving.times import TimeReader
from metrics.names import shown
from metrics.rows import Description
from metrics.samples import Kind, Sample

KNOWN_SERIES = 100_000  # texts of series that were checked before; more are checked again
UNIT_CHARACTERS = 20
HELP_CHARACTERS = 500
_COUNTERS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"),
             "summary": ("_count", "_sum")}  # fmt: skip
_SUFFIX = re.compile(r"_(total|bucket|count|sum|created|info)$")
_REST = re.compile(r"\s*([^\s#]+)(?:\s+([^\s#]+))?\s*(?:#.*)?")  # value, time, exemplar
_LOOKS_LIKE = re.compile(r"#\s|[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})?[ \t]+[-+0-9NI]")

_Series = tuple[str, dict[str, str]]


def looks_like_it(first_line: str) -> bool:
    return _LOOKS_LIKE.match(first_line) is not None


class OpenMetricsReader:
    """Reads one file, as often as asked."""

    sentence = "OpenMetrics text"

    def __init__(self, time: TimeReader) -> None:
        self._time = time
        self._said: dict[str, dict[str, str]] = {}
        self._series: dict[str, _Series] = {}
        self.descriptions: dict[str, Description] = {}

    def read(self, lines: Lines) -> Iterator[Item]:
        for line in lines:
            text = line.strip()
            if lines.not_text == lines.number:
                yield Bad(lines.number, "is not UTF-8 text")
            elif text == "# EOF":
                return
            elif text.startswith("#"):
                self._comment(text)
            elif text:
                try:
                    found = self._sample(text)
                except ValueError as error:
                    yield Bad(lines.number, str(error))
                else:
                    if found is not None:
                        yield lines.number, found

    def _comment(self, text: str) -> None:
        parts = text.split(None, 3)
        if len(parts) == 4 and parts[1] in ("TYPE", "HELP", "UNIT"):
            self._said.setdefault(parts[2], {})[parts[1]] = parts[3]

    def _sample(self, text: str) -> Sample | None:
        """None for a value that is none (NaN: Prometheus's "gone") and for times of creation."""
        metric, labels, rest = self._parts(text)
        if rest is None:
            raise ValueError(f"expected a value and a time behind {shown(metric)}")
        value = _number(rest[1])
        if rest[2] is None:
            raise ValueError("has no time: expected one behind the value")
        at_ms = self._time(rest[2])
        family, kind = self._family(metric)
        if math.isnan(value) or (metric == f"{family}_created" and family in self._said):
            return None
        if math.isinf(value):
            raise ValueError(f"{rest[1]} cannot be stored: expected a finite number")
        if metric not in self.descriptions:
            self.descriptions[metric] = self._description(family, kind)
        return Sample(metric, value, labels, at_ms, kind)

    def _parts(self, text: str) -> tuple[str, dict[str, str], re.Match[str] | None]:
        """The series, and what stands behind it."""
        before = text.rsplit(None, 2)[0]  # right where there is a time, and nothing behind it
        known = self._series.get(before)
        if known is not None:
            return (*known, _REST.fullmatch(text, len(before)))
        metric, labels, end = read_series(text)
        known = checked(metric, labels)
        if len(self._series) >= KNOWN_SERIES:
            self._series.clear()
        self._series[text[:end]] = known
        return (*known, _REST.fullmatch(text, end))

    def _family(self, metric: str) -> tuple[str, Kind]:
        """The name that TYPE and HELP are written under, and whether this one only grows."""
        suffix = _SUFFIX.search(metric)
        short = metric[: suffix.start()] if suffix else metric
        family = metric if metric in self._said or short not in self._said else short
        type = self._said.get(family, {}).get("TYPE", "")
        counts = type in _COUNTERS and (
            metric.endswith(_COUNTERS[type]) or (type == "counter" and family == metric)
        )
        return family, "counter" if counts else "gauge"

    def _description(self, family: str, kind: Kind) -> Description:
        said = self._said.get(family, {})
        return Description(
            kind, said.get("UNIT", "")[:UNIT_CHARACTERS], said.get("HELP", "")[:HELP_CHARACTERS]
        )


def _number(text: str) -> float:
    try:
        if "_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a number") from None
