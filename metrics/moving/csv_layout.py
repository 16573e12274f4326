"""Which column of a CSV file is what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from metrics.moving.series_text import checked, read_series
from metrics.moving.trouble import CannotMove
from metrics.names import METRIC_NAME, shown

TIME_NAMES = ("time", "timestamp", "datetime", "date", "ts", "_time", "time_ms")
METRIC_NAMES = ("metric", "__name__", "metric_name", "measurement")
VALUE_NAME = "value"
DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Mapping:
    """What the person who imports said about the columns; empty: find out.

    `labels` are (column, label) pairs, `extra` are labels every sample gets.
    """

    time: str = ""
    metric: str = ""
    metric_column: str = ""
    values: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    extra: tuple[tuple[str, str], ...] = ()
    template: str = ""
    column_label: str = "column"


@dataclass(slots=True)
class Value:
    """A column of values; its metric, unless a column of each row names it, and its own labels."""

    at: int
    column: str
    metric: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Layout:
    """Places of columns, counted from 0; `left_out` are the names of those nobody reads."""

    time_at: int
    metric_at: int | None
    values: list[Value]
    labels: list[tuple[int, str]]
    width: int
    time_column: str
    left_out: list[str]

    @property
    def sentence(self) -> str:
        """What is taken for what, for people."""
        if self.metric_at is not None:
            what = f"{self.values[0].column!r} is the value"
        elif len(self.values) == 1:
            what = f"{self.values[0].column!r} becomes {self.values[0].metric}"
        else:
            what = f"{len(self.values)} columns become {self.values[0].metric}, ..."
        parts = [f"{self.time_column!r} is the time", what]
        if self.labels:
            parts.append("labels: " + ", ".join(name for _, name in self.labels))
        if self.left_out:
            parts.append("left out: " + ", ".join(self.left_out))
        return "; ".join(parts)


def sniff(line: str) -> str:
    """The delimiter of a header line: the one that parts it most often outside of quotes."""
    plain = re.sub(r'"[^"]*"', "", line)
    return max(DELIMITERS, key=plain.count)


def layout(header: Sequence[str], said: Mapping, stem: str) -> Layout:
    """Finds the columns. `stem` is the file's name without ending. Raises CannotMove."""
    header = [name.strip() for name in header]
    if len(header) < 2:
        raise CannotMove(
            f"The first line has one column, {shown(header[0] if header else '')}: expected a time "
            "and a value, with a delimiter between them (see --delimiter)."
        )
    time_at = _place(header, said.time) if said.time else _first_of(header, TIME_NAMES, 0)
    metric_at = _metric_at(header, said, time_at)
    labels = [(_place(header, column), name) for column, name in said.labels]
    taken = {time_at, metric_at, *(at for at, _ in labels)}
    free = [at for at in range(len(header)) if at not in taken]
    values = [_place(header, column) for column in said.values]
    if not values:
        lone = _lone_value(header, free)
        values = [lone] if lone is not None else free if metric_at is None else []
    if not values:
        raise CannotMove("No column holds values: name it with --value.")
    rest = [at for at in free if at not in values]
    is_long = metric_at is not None or (not said.values and len(values) == 1)
    if is_long and not said.labels:
        labels, rest = [(at, _label_name(header[at])) for at in rest], []
    if metric_at is not None and len(values) > 1:
        raise CannotMove("A column names the metric of each row: expected one --value.")
    return Layout(
        time_at,
        metric_at,
        [_value(at, header[at], said, stem, len(values)) for at in values],
        labels,
        len(header),
        header[time_at],
        [header[at] for at in rest],
    )


def _metric_at(header: Sequence[str], said: Mapping, time_at: int) -> int | None:
    if said.metric_column:
        return _place(header, said.metric_column)
    if said.metric or said.template:
        return None
    found = _first_of(header, METRIC_NAMES, -1)
    return found if found not in (-1, time_at) else None


def _lone_value(header: Sequence[str], free: Iterable[int]) -> int | None:
    return next((at for at in free if header[at].lower() == VALUE_NAME), None)


def _first_of(header: Sequence[str], names: Sequence[str], otherwise: int) -> int:
    lower = [name.lower() for name in header]
    return next((lower.index(name) for name in names if name in lower), otherwise)


def _place(header: Sequence[str], column: str) -> int:
    """A column by its name, or by its number from 1 where no name is that number."""
    if header.count(column) > 1:
        raise CannotMove(f"Two columns are named {shown(column)}: name it by its number, from 1.")
    if column in header:
        return header.index(column)
    if column.isascii() and column.isdigit() and 1 <= int(column) <= len(header):
        return int(column) - 1
    raise CannotMove(
        f"There is no column {shown(column)}: expected one of "
        f"{', '.join(shown(name) for name in header[:20])}."
    )


def _value(at: int, column: str, said: Mapping, stem: str, how_many: int) -> Value:
    own: dict[str, str] = {}
    if said.metric:
        metric = said.metric
        if how_many > 1:
            own = {said.column_label: column}
    elif said.template:
        metric = metric_name(said.template.replace("{column}", column).replace("{file}", stem))
    elif (series := _as_series(column)) is not None:
        metric, own = series
    else:
        metric = metric_name(stem if column.lower() == VALUE_NAME else column)
    try:
        metric, labels = checked(metric, {**dict(said.extra), **own})
    except ValueError as error:
        raise CannotMove(f"Column {shown(column)}: {error}.") from None
    return Value(at, column, metric, labels)


def _as_series(text: str) -> tuple[str, dict[str, str]] | None:
    try:
        metric, labels, end = read_series(text)
    except ValueError:
        return None
    return (metric, labels) if labels and end == len(text) else None


def metric_name(text: str) -> str:
    """The text as a metric's name: what may not be in one becomes _."""
    name = re.sub(r"[^a-zA-Z0-9_:]+", "_", text).strip("_")
    return name if METRIC_NAME.fullmatch(name) else f"_{name}"


def _label_name(column: str) -> str:
    return metric_name(column).replace(":", "_")
