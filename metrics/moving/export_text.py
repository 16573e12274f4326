"""Pieces of samples -> CSV or JSON lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from metrics.columns import Floats, Ints
from metrics.moving.export import Export, Piece
from metrics.moving.trouble import CannotMove
from metrics.names import shown

SAMPLES_AT_ONCE = 20_000
TIME_FORMATS = ("iso", "ms", "s")
# A spreadsheet takes a cell that begins so for a formula, and would run it.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
OWN_COLUMNS = ("time", "metric", "value")


def csv(export: Export, time_format: str) -> Iterator[bytes]:
    """time, metric, one column per label, value. A label named like one of those: label_value."""
    names = [f"label_{name}" if name in OWN_COLUMNS else name for name in export.labels]
    yield _row(["time", "metric", *names, "value"])
    known = set(export.labels)
    for piece in export.pieces:
        if not piece.labels.keys() <= known:
            raise CannotMove("Series with other labels were made meanwhile: export again.")
        cells = [piece.metric, *(piece.labels.get(name, "") for name in export.labels)]
        middle = ",".join(quoted(neutral(cell)) for cell in cells)
        for times, values in _parts(piece):
            lines = zip(_times(times, time_format), _numbers(values), strict=True)
            yield "".join([f"{at},{middle},{value}\n" for at, value in lines]).encode()


def jsonl(export: Export) -> Iterator[bytes]:
    """{"time": ms, "metric": "", "labels": {}, "value": 1.5}, one a line."""
    for piece in export.pieces:
        labels = msgspec.json.encode(dict(sorted(piece.labels.items()))).decode()
        metric = msgspec.json.encode(piece.metric).decode()
        middle = f',"metric":{metric},"labels":{labels},"value":'
        for times, values in _parts(piece):
            numbers = _numbers(values)
            if not np.isfinite(values).all():  # JSON has no number for these
                numbers = [n if math.isfinite(float(n)) else f'"{n}"' for n in numbers]
            lines = zip(times.tolist(), numbers, strict=True)
            yield "".join([f'{{"time":{at}{middle}{value}}}\n' for at, value in lines]).encode()


def neutral(cell: str) -> str:
    """A text no spreadsheet runs: with a ' before what would begin a formula (or is a ')."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def quoted(cell: str) -> str:
    if any(character in cell for character in ',"\n\r') or cell != cell.strip():
        return '"' + cell.replace('"', '""') + '"'
    return cell


def check_time_format(name: str) -> None:
    """Raises CannotMove."""
    if name not in TIME_FORMATS:
        raise CannotMove(f"{shown(name)} is not a time format: expected iso, ms or s.")


def _row(cells: Sequence[str]) -> bytes:
    return (",".join(quoted(cell) for cell in cells) + "\n").encode()


def _parts(piece: Piece) -> Iterator[tuple[Ints, Floats]]:
    for at in range(0, len(piece.times), SAMPLES_AT_ONCE):
        yield piece.times[at : at + SAMPLES_AT_ONCE], piece.values[at : at + SAMPLES_AT_ONCE]


def _times(times: Ints, format: str) -> list[str]:
    if format == "iso":
        moments = times.astype("datetime64[ms]")
        return [f"{text}Z" for text in np.datetime_as_string(moments, unit="ms").tolist()]
    if format == "s":
        return [f"{at // 1000}.{at % 1000:03d}" for at in times.tolist()]
    return list(map(str, times.tolist()))


def _numbers(values: Floats) -> list[str]:
    """The shortest text that is read as the same number; whole ones without .0."""
    return [repr(value).removesuffix(".0") for value in values.tolist()]
