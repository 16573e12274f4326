"""CSV -> samples, row by row."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from metrics.moving.csv_layout import Layout, Mapping, Value, layout, sniff
from metrics.moving.samples_in import Bad, Item
from metrics.moving.series_text import checked
from metrics.moving.text_lines import Lines, TextFile
from metrics.moving.times import TimeReader
from metrics.moving.trouble import CannotMove
from metrics.names import shown
from metrics.rows import Description
from metrics.samples import Kind, Sample

NO_VALUE = frozenset(("", "nan", "null", "none", "na", "n/a", "-"))
KNOWN_SERIES = 100_000  # label cells that were checked before; more are checked again
_NEUTRALISED = ("'=", "'+", "'-", "'@", "'\t", "'\r", "''")

_Series = tuple[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the file is written; `delimiter` empty: find out.

    `exported`: a ' before cells that a spreadsheet would take for a formula is not part of them.
    """

    delimiter: str = ""
    header: bool = True
    decimal_comma: bool = False
    exported: bool = False


class CsvReader:
    """Reads one file, as often as asked. Raises CannotMove when its columns make no sense."""

    def __init__(
        self, file: TextFile, dialect: Dialect, said: Mapping, time: TimeReader, kind: Kind
    ) -> None:
        self._file = file
        self._dialect = dialect
        self._time = time
        self._kind: Kind = kind
        self._series: dict[tuple[str, ...], _Series | str] = {}
        with file.lines() as lines:
            _, header, _ = self._open(lines)
        self.layout: Layout = layout(header, said, file.stem)
        if dialect.header and self._is_time(header[self.layout.time_at]):
            raise CannotMove(
                f"The first line of {file.name} looks like data: say --no-header, and name the "
                "columns by their numbers from 1."
            )
        self._extra = dict(said.extra)

    @property
    def sentence(self) -> str:
        return self.layout.sentence

    @property
    def descriptions(self) -> dict[str, Description]:
        return {}

    def read(self, lines: Lines) -> Iterator[Item]:
        rows, _, first = self._open(lines)
        number = lines.number if self._dialect.header else 0
        for row in chain(first, self._rows(rows, lines)):
            at, number = number + 1, max(lines.number, number + 1)
            if isinstance(row, Bad):
                yield row
            elif at <= lines.not_text <= number:
                yield Bad(lines.not_text, "is not text in the expected encoding (see --encoding)")
            elif row:
                yield from self._samples(at, row)

    def _open(self, lines: Lines) -> tuple[Iterator[list[str]], list[str], list[list[str]]]:
        """The rows to come, the columns' names, and a first row that was read already."""
        text = iter(lines)
        first = next((line for line in text if line.strip()), "")
        if not first:
            raise CannotMove(f"{self._file.name} is empty.")
        delimiter = self._dialect.delimiter or sniff(first)
        rows = csv.reader(chain([first], text), delimiter=delimiter, strict=True)
        try:
            header = next(rows)
        except csv.Error as error:
            raise CannotMove(f"The first line cannot be read: {error}.") from None
        if self._dialect.header:
            return rows, header, []
        return rows, [str(number) for number in range(1, len(header) + 1)], [header]

    def _rows(self, rows: Iterator[list[str]], lines: Lines) -> Iterator[list[str] | Bad]:
        while True:
            try:
                yield next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Bad(lines.number, f"cannot be read as CSV: {error}")

    def _is_time(self, cell: str) -> bool:
        try:
            self._time(cell.strip())
        except ValueError:
            return False
        return True

    def _samples(self, number: int, row: list[str]) -> Iterator[Item]:
        found = self.layout
        if len(row) != found.width:
            yield Bad(number, f"has {len(row)} columns: expected {found.width}")
            return
        try:
            at_ms = self._time(row[found.time_at].strip())
        except ValueError as error:
            yield Bad(number, str(error))
            return
        for value in found.values:
            text = row[value.at].strip()
            if text.lower() in NO_VALUE:
                continue
            try:
                yield number, self._sample(value, text, row, at_ms)
            except ValueError as error:
                yield Bad(number, f"{error}{_in_column(value, found)}")

    def _sample(self, value: Value, text: str, row: Sequence[str], at_ms: int) -> Sample:
        number = self._number(text)
        found = self.layout
        if not found.labels and found.metric_at is None:
            return Sample(value.metric, number, value.labels, at_ms, self._kind)
        metric, labels = self._series_of(value, row)
        return Sample(metric, number, labels, at_ms, self._kind)

    def _number(self, text: str) -> float:
        try:
            number = float(text.replace(",", ".") if self._dialect.decimal_comma else text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or "_" in text:
            hint = "" if self._dialect.decimal_comma or "," not in text else " (--decimal-comma?)"
            raise ValueError(f"{shown(text)} is not a number{hint}")
        return number

    def _series_of(self, value: Value, row: Sequence[str]) -> _Series:
        found = self.layout
        named = row[found.metric_at] if found.metric_at is not None else value.metric
        cells = (str(value.at), named, *(row[at] for at, _ in found.labels))
        known = self._series.get(cells)
        if known is None:
            if len(self._series) >= KNOWN_SERIES:
                self._series.clear()
            try:
                known = self._check(value, named.strip(), row)
            except ValueError as error:
                known = str(error)
            self._series[cells] = known
        if isinstance(known, str):
            raise ValueError(known)
        return known

    def _check(self, value: Value, metric: str, row: Sequence[str]) -> _Series:
        labels = {name: self._plain(row[at]) for at, name in self.layout.labels}
        return checked(metric, {**self._extra, **value.labels, **labels})

    def _plain(self, cell: str) -> str:
        return cell[1:] if self._dialect.exported and cell.startswith(_NEUTRALISED) else cell


def _in_column(value: Value, found: Layout) -> str:
    return f" (column {shown(value.column)})" if len(found.values) > 1 else ""
