"""Reading Prometheus's conformance scripts for PromQL: what they load, ask and expect.

Understood are ``load``, ``load_with_nhcb``, ``clear``, ``eval instant at``, ``eval range from``,
``eval_fail`` and, below an eval, expected series and ``expect fail``. Native histograms are kept
as a mark on the series, so that cases that need them can be recognised. Stale markers end a
series in Prometheus; here they are no sample at all.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from metrics.query import Selector, SeriesData

Key = tuple[tuple[str, str], ...]
Value = float | None  # None = no value at that step

_UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNSIGNED: Final = r"(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[iI]nf|[nN]a[nN])"
_SEQUENCE: Final = re.compile(
    rf"(?P<first>[+-]?{_UNSIGNED})(?P<by>[+-]{_UNSIGNED})?x(?P<times>\d+)"
)
_SERIES: Final = re.compile(
    r'(?P<name>[a-zA-Z_:][\w:]*)?\s*(?P<labels>\{(?!\{)(?:[^"}]|"(?:\\.|[^"\\])*")*\})?(?P<rest>.*)'
)
_LABEL: Final = re.compile(r'"?([^\s,"={]+)"?\s*=\s*"((?:\\.|[^"\\])*)"')
_QUOTED_NAME: Final = re.compile(r'[{,]\s*"((?:\\.|[^"\\])*)"\s*[,}]')
_TOKEN: Final = re.compile(r"(?:[+-]?\{\{.*?\}\})+(?:x\d+)?|\S+")
_EVAL: Final = re.compile(
    r"eval(?P<fail>_fail)?(?:_\w+)? (?:instant at (?P<at>\S+)|"
    r"range from (?P<start>\S+) to (?P<end>\S+) step (?P<step>\S+))\s+(?P<expression>.+)"
)


@dataclass
class Loaded:
    """One series of the script."""

    samples: dict[int, float] = field(default_factory=dict)
    has_histograms: bool = False


class Store:
    """What has been loaded, as a source for evaluate()."""

    def __init__(self, series: Mapping[Key, Loaded]) -> None:
        self._series = series

    def select(self, selector: Selector, start_ms: int, end_ms: int) -> list[SeriesData]:
        """The selected series with their samples of ``start_ms < time <= end_ms``."""
        return [
            _series_data(dict(key), loaded.samples, start_ms, end_ms)
            for key, loaded in self._series.items()
            if selector.matches(dict(key))
        ]

    def needs_histograms(self, selector: Selector) -> bool:
        """Whether a selected series holds native histograms."""
        return any(
            loaded.has_histograms and selector.matches(dict(key))
            for key, loaded in self._series.items()
        )


@dataclass(frozen=True)
class Case:
    """One eval with what it expects and what had been loaded by then."""

    line: int
    expression: str
    start_ms: int
    end_ms: int
    step_ms: int
    is_instant: bool
    must_fail: bool
    store: Store
    expected_lines: tuple[str, ...]

    @property
    def expected(self) -> dict[Key, list[Value]]:
        """The expected values by labels, one per step."""
        steps = (self.end_ms - self.start_ms) // self.step_ms + 1
        result: dict[Key, list[Value]] = {}
        for line in self.expected_lines:
            key, values, _ = _series(line)
            result[key] = (values + [None] * steps)[:steps]
        return result


def cases(script: Path) -> Iterator[Case]:
    """The cases of a script, in order. Raises ValueError, naming the line, for what is unknown."""
    stored: dict[Key, Loaded] = {}
    for number, block in _blocks(script.read_text(encoding="utf-8")):
        command = block[0].split()[0]
        try:
            if command == "clear":
                stored = {}
            elif command in ("load", "load_with_nhcb"):
                loaded = _load(block, with_histograms=command == "load_with_nhcb")
                stored = stored | loaded
            elif command.startswith("eval"):
                yield _case(number, block, Store(stored))
            else:
                raise ValueError(f"unknown command {command}")
        except ValueError as error:
            raise ValueError(f"{script.name}, line {number}: {error}") from error


def _series_data(
    labels: dict[str, str], samples: Mapping[int, float], start_ms: int, end_ms: int
) -> SeriesData:
    times = [time for time in sorted(samples) if start_ms < time <= end_ms]
    values = [samples[time] for time in times]
    return SeriesData(labels, np.array(times, np.int64), np.array(values, np.float64))


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Commands with the lines below them; commands begin at a known word, blocks end at a gap."""
    lines = [line.strip() for line in text.splitlines()]
    block: list[str] = []
    begin = 0
    for number, line in enumerate([*lines, ""], start=1):
        ends = not line or line.startswith("#") or re.match(r"(eval\w*|load\w*|clear)\b", line)
        if ends and block:
            yield begin, block
            block = []
        if line and not line.startswith("#"):
            begin = begin if block else number
            block.append(line)


def _load(block: Sequence[str], *, with_histograms: bool) -> dict[Key, Loaded]:
    step_ms = _duration_ms(block[0].split()[1])
    result: dict[Key, Loaded] = {}
    for line in block[1:]:
        key, values, has_histograms = _series(line)
        samples = {at * step_ms: value for at, value in enumerate(values) if value is not None}
        result[key] = Loaded(samples, has_histograms)
        name = dict(key)["__name__"]
        if with_histograms and name.endswith("_bucket"):
            base = dict(key) | {"__name__": name.removesuffix("_bucket")}
            base.pop("le", None)
            result[tuple(sorted(base.items()))] = Loaded(has_histograms=True)
    return result


def _case(number: int, block: Sequence[str], store: Store) -> Case:
    found = _EVAL.fullmatch(block[0])
    if found is None:
        raise ValueError(f"unknown eval {block[0]!r}")
    instant = found["at"] is not None
    start_ms = _duration_ms(found["at"] or found["start"])
    expected = [line for line in block[1:] if not line.startswith("expect")]
    return Case(
        line=number,
        expression=found["expression"],
        start_ms=start_ms,
        end_ms=start_ms if instant else _duration_ms(found["end"]),
        step_ms=60_000 if instant else _duration_ms(found["step"]),
        is_instant=instant,
        must_fail=bool(found["fail"]) or any(re.match(r"expect\s+fail\b", o) for o in block[1:]),
        store=store,
        expected_lines=tuple(expected),
    )


def _duration_ms(text: str) -> int:
    parts = re.findall(r"(\d+)(ms|[smhd])", text)
    if "".join(map("".join, parts)) == text:
        return sum(int(count) * _UNITS_MS[unit] for count, unit in parts)
    return round(float(text) * 1000)


def _series(line: str) -> tuple[Key, list[Value], bool]:
    """The labels, the values and whether there were histograms among them."""
    found = _SERIES.fullmatch(line)
    if found is None:
        raise ValueError(f"not a series: {line!r}")
    text = found["labels"] or ""
    labels = {name: _unescaped(value) for name, value in _LABEL.findall(text)}
    quoted = _QUOTED_NAME.search(text)
    name = found["name"] or (_unescaped(quoted[1]) if quoted else None)
    if name is not None:
        labels["__name__"] = name
    tokens = _TOKEN.findall(found["rest"])
    has_histograms = any("{{" in token for token in tokens)
    values = list(itertools.chain.from_iterable(_values(token) for token in tokens))
    return tuple(sorted(labels.items())), values, has_histograms


def _unescaped(text: str) -> str:
    """A Go string; the scripts also write single bytes, which are read as Latin-1."""
    return re.sub(
        r"\\(x[0-9a-fA-F]{2}|.)",
        lambda m: (
            chr(int(m[1][1:], 16)) if len(m[1]) > 1 else {"n": "\n", "t": "\t"}.get(m[1], m[1])
        ),
        text,
    )


def _values(token: str) -> list[Value]:
    """``1``, ``_``, ``stale``, ``0+10x3`` (four values), ``7x2`` (three), ``_x2`` (two)."""
    if "{{" in token or token == "stale" or token == "_":
        return [None]
    if token.startswith("_x"):
        return [None] * int(token[2:])
    found = _SEQUENCE.fullmatch(token)
    if found is None:
        return [float(token)]
    by = float(found["by"] or 0)
    return list(itertools.accumulate([float(found["first"])] + [by] * int(found["times"])))


def same(left: Value, right: Value, relative: float = 1e-9) -> bool:
    """Whether two values are equal but for rounding."""
    if left is None or right is None:
        return left is right
    return left == right or math.isclose(left, right, rel_tol=relative, abs_tol=1e-300)
