"""Samples summed up in buckets of time: what a long range is drawn from; pure.

A bucket covers the times in (end - resolution, end], as a PromQL window does, and is named by its
end. Buckets without samples do not exist.

Sums of decimals are exact: they are added up as integers. So a rollup does not depend on whether
it was made of samples or of a finer rollup; where values are no decimals, that is so because
coarse rollups are always made of the finer ones on the way (RESOLUTIONS_MS).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.codec import ALL, Payload, Rows, encode_columns, unpack
from metrics.codec.decimals import MAX_DECIMALS, exactly, scale, unscale

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

RESOLUTIONS_MS = (10_000, 60_000, 3_600_000)
_DECIMAL_LAYOUT = 1  # values as integers; plus their number of decimals
_BITS_LAYOUT = _DECIMAL_LAYOUT + MAX_DECIMALS + 1  # values by their bits
# The columns of the bytes, in their order, and the kinds of their numbers: sums may be either.
_END, _COUNT, _SINCE_START, _UNTIL_END, _LAST, _FROM_LAST, _BELOW, _ABOVE, _SUM, _RESETS = range(10)
_KINDS = ("i" * 8 + "ff", "i" * 9 + "f")
_EXACT = 1 << 53  # integers up to here are floats, and so are their sums


@dataclass(frozen=True, slots=True)
class Rollup:
    """Buckets of one resolution, ascending, as columns.

    ``resets`` is the sum of the values just before each fall inside a bucket: what a counter grew
    between the bucket's first sample and its last is ``last - first + resets``.
    """

    resolution_ms: int
    end_ms: Ints
    count: Ints
    sum: Floats
    min: Floats
    max: Floats
    first: Floats
    last: Floats
    first_ms: Ints
    last_ms: Ints
    resets: Floats

    def __len__(self) -> int:
        return len(self.end_ms)

    def between(self, from_ms: int, to_ms: int) -> Rollup:
        """The buckets that end in (from_ms, to_ms]; views, not copies."""
        begin, end = np.searchsorted(self.end_ms, (from_ms, to_ms), side="right").tolist()
        return Rollup(self.resolution_ms, *(column[begin:end] for column in self.columns()))

    def columns(self) -> list[NDArray[Any]]:
        """All columns, end_ms first, in the order of the fields."""
        return [getattr(self, name) for name in COLUMNS]


COLUMNS = tuple(field.name for field in fields(Rollup)[1:])
_INTEGERS = frozenset(("end_ms", "count", "first_ms", "last_ms"))


def roll(times: Ints, values: Floats, resolution_ms: int, counter: bool = True) -> Rollup:
    """The rollup of samples with ascending, unique times.

    ``counter=False`` says that nobody will ask what the values grew: ``resets`` then stay 0, which
    saves a few bytes a bucket. Raises ValueError for a resolution below 1 ms.
    """
    _check_resolution(resolution_ms)
    finest = RESOLUTIONS_MS[0]
    if resolution_ms > finest and resolution_ms % finest == 0:
        return roll_up(roll(times, values, finest, counter), resolution_ms, counter)
    values = values + 0.0  # -0.0 becomes 0.0: the least of both is then one and the same
    end_ms, starts = _buckets(times, resolution_ms)
    lasts = np.append(starts[1:], len(times)) - 1 if len(starts) else starts
    return Rollup(
        resolution_ms,
        end_ms,
        lasts - starts + 1,
        _sums(values, starts),
        _each(np.minimum, values, starts),
        _each(np.maximum, values, starts),
        values[starts],
        values[lasts],
        times[starts],
        times[lasts],
        _sums(_lost(values[:-1], values[1:], starts), starts) if counter else _zeros(starts),
    )


def roll_up(rollup: Rollup, resolution_ms: int, counter: bool = True) -> Rollup:
    """The same samples in coarser buckets: exactly what roll() would have made of them.

    Raises ValueError when the resolution is not a multiple of the rollup's.
    """
    _check_resolution(resolution_ms)
    if resolution_ms % rollup.resolution_ms:
        raise ValueError(
            f"buckets of {rollup.resolution_ms} ms do not fit into buckets of {resolution_ms} ms"
        )
    for between_ms in RESOLUTIONS_MS:
        fits = between_ms % rollup.resolution_ms == 0 and resolution_ms % between_ms == 0
        if fits and rollup.resolution_ms < between_ms < resolution_ms:
            rollup = roll_up(rollup, between_ms, counter)
    if resolution_ms == rollup.resolution_ms:
        return rollup
    end_ms, starts = _buckets(rollup.end_ms, resolution_ms)
    lasts = np.append(starts[1:], len(rollup)) - 1 if len(starts) else starts
    lost = _lost(rollup.last[:-1], rollup.first[1:], starts) if counter else _zeros(rollup.last)
    return Rollup(
        resolution_ms,
        end_ms,
        _each(np.add, rollup.count, starts),
        _sums(rollup.sum, starts),
        _each(np.minimum, rollup.min, starts),
        _each(np.maximum, rollup.max, starts),
        rollup.first[starts],
        rollup.last[lasts],
        rollup.first_ms[starts],
        rollup.last_ms[lasts],
        _sums(lost + rollup.resets, starts),
    )


def merge(old: Rollup, new: Rollup, from_ms: int, to_ms: int) -> Rollup:
    """The old rollup with its buckets that end in (from_ms, to_ms] replaced by the new one's.

    Raises ValueError when the resolutions differ or a new bucket ends outside of that range.
    """
    if old.resolution_ms != new.resolution_ms:
        raise ValueError(
            f"buckets of {new.resolution_ms} ms cannot replace buckets of {old.resolution_ms} ms"
        )
    if len(new) and not from_ms < int(new.end_ms[0]) <= int(new.end_ms[-1]) <= to_ms:
        raise ValueError(
            f"the new buckets end in {new.end_ms[0]} to {new.end_ms[-1]} ms, "
            f"expected after {from_ms} and until {to_ms}"
        )
    begin, end = np.searchsorted(old.end_ms, (from_ms, to_ms), side="right").tolist()
    if end - begin == len(old):
        return new
    pairs = zip(old.columns(), new.columns(), strict=True)
    joined = (np.concatenate((was[:begin], now, was[end:])) for was, now in pairs)
    return Rollup(old.resolution_ms, *joined)


def encode(rollup: Rollup) -> bytes:
    """The buckets as bytes, bit for bit, but for the resolution: decode() must be told it.

    Each column is written as its distance from what the others let expect: most buckets follow
    the one before them, and a counter's least value is its first.
    """
    values = np.concatenate((rollup.first, rollup.last, rollup.min, rollup.max))
    scaled = scale(values, stray_share=0.0)
    layout = _BITS_LAYOUT if scaled is None else _DECIMAL_LAYOUT + scaled.decimals
    whole = values.view(np.int64) if scaled is None else scaled.integers
    first, last, low, high = whole.reshape(4, len(rollup))
    sums = exactly(rollup.sum, scaled.decimals) if scaled else None
    columns = (
        rollup.end_ms,
        rollup.count,
        rollup.first_ms - rollup.end_ms + rollup.resolution_ms,
        rollup.end_ms - rollup.last_ms,
        last,
        first - _one_before(last),
        np.minimum(first, last) - low,
        high - np.maximum(first, last),
        rollup.sum if sums is None else sums - _expected_sum(rollup.count, first, last),
        rollup.resets,
    )
    return encode_columns(layout, columns)


def decode(
    data: bytes | memoryview,
    resolution_ms: int,
    names: Collection[str] = COLUMNS,
    pick: Callable[[Ints], Rows] | None = None,
) -> Rollup:
    """The inverse of encode(). Raises ValueError when these bytes are no whole such rollup.

    Less costs less: of columns that are not named, numbers are 0 and values NaN (``end_ms`` is
    always there); ``pick`` is given the ends of all buckets and says which rows are wanted.
    """
    payload = unpack(data)
    if not _DECIMAL_LAYOUT <= payload.layout <= _BITS_LAYOUT or payload.kinds not in _KINDS:
        raise ValueError(
            f"layout {payload.layout} of {len(payload.kinds)} columns, expected a rollup"
        )
    end_ms = payload.column(_END)
    rows = ALL if pick is None else pick(end_ms)
    if rows is not ALL:
        end_ms = end_ms[rows]
    if (end_ms % resolution_ms).any():
        raise ValueError(f"the rollup's buckets are not of {resolution_ms} ms")
    found = _values(payload, rows, names)
    if "count" in names:
        found["count"] = payload.column(_COUNT, rows)
    if "first_ms" in names:
        found["first_ms"] = payload.column(_SINCE_START, rows) + end_ms - resolution_ms
    if "last_ms" in names:
        found["last_ms"] = end_ms - payload.column(_UNTIL_END, rows)
    if "resets" in names:
        found["resets"] = payload.column(_RESETS, rows)
    if len(found) < len(COLUMNS) - 1:
        nothing, unknown = np.zeros(len(end_ms), np.int64), np.full(len(end_ms), np.nan)
        for name in COLUMNS:
            found.setdefault(name, nothing if name in _INTEGERS else unknown)
    return Rollup(resolution_ms, end_ms, *(found[name] for name in COLUMNS[1:]))


def _values(payload: Payload, rows: Rows, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Those of the columns sum, min, max, first and last that are named."""
    until = _end_of(rows, payload.rows)
    lasts = payload.column(_LAST, slice(0, until))  # each rests on those before it
    last = lasts[rows]
    whole = {"last": last}
    if not {"first", "min", "max", "sum"}.isdisjoint(names):
        whole["first"] = first = payload.column(_FROM_LAST, rows) + _one_before(lasts)[rows]
        if "min" in names:
            whole["min"] = np.minimum(first, last) - payload.column(_BELOW, rows)
        if "max" in names:
            whole["max"] = np.maximum(first, last) + payload.column(_ABOVE, rows)
    decimals = payload.layout - _DECIMAL_LAYOUT
    is_bits = payload.layout == _BITS_LAYOUT
    found = {
        name: column.view(np.float64) if is_bits else unscale(column, decimals)
        for name, column in whole.items()
        if name in names
    }
    if "sum" in names:
        sums = payload.column(_SUM, rows)
        if sums.dtype == np.int64:
            sums = sums + _expected_sum(payload.column(_COUNT, rows), whole["first"], last)
            sums = unscale(sums, min(decimals, MAX_DECIMALS))
        found["sum"] = sums
    return found


def _end_of(rows: Rows, count: int) -> int:
    """How many of so many rows there are up to the last of these."""
    if isinstance(rows, slice):
        return rows.indices(count)[1]
    return int(rows[-1]) + 1 if len(rows) else 0


def _one_before(last: Ints) -> Ints:
    return np.concatenate((last[:1], last[:-1]))


def _expected_sum(count: Ints, first: Ints, last: Ints) -> Ints:
    return count * (first + last) // 2


def _check_resolution(resolution_ms: int) -> None:
    if resolution_ms < 1:
        raise ValueError(f"a bucket lasts at least 1 ms, not {resolution_ms}")


def _buckets(times: Ints, resolution_ms: int) -> tuple[Ints, Ints]:
    """The ends of the buckets that the times are in, and where each bucket begins among them."""
    ends = -(-times // resolution_ms) * resolution_ms
    starts = np.flatnonzero(np.concatenate(([True], ends[1:] != ends[:-1]))[: len(ends)])
    return ends[starts], starts


def _each(how: np.ufunc, column: NDArray[Any], starts: Ints) -> NDArray[Any]:
    if len(starts) == 0:
        return column[:0]
    result: NDArray[Any] = how.reduceat(column, starts)
    return result


def _zeros(like: NDArray[Any]) -> Floats:
    return np.zeros(len(like))


def _lost(before: Floats, after: Floats, starts: Ints) -> Floats:
    """Per row what a reset just before it lost; from one bucket to the next none is counted."""
    lost = np.zeros(len(before) + 1 if len(starts) else 0)
    lost[1:] = np.where(after < before, before, 0.0)
    lost[starts] = 0.0
    return lost


def _sums(values: Floats, starts: Ints) -> Floats:
    """The sum of each bucket: exact, and rounded once, where all its values are decimals."""
    if not values.any():
        return _zeros(starts)
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = _each(np.add, values, starts)
    scaled = scale(values)
    if scaled is None:
        return rounded
    largest = max(int(scaled.integers.max()), -int(scaled.integers.min()))
    if largest * len(values) >= 1 << 62:  # an integer sum might overflow
        return rounded
    whole = _each(np.add, scaled.integers, starts)
    exact = np.abs(whole) < _EXACT
    exact[np.searchsorted(starts, scaled.strays, side="right") - 1] = False
    return np.where(exact, unscale(whole, scaled.decimals), rounded)
