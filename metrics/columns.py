"""A batch of samples in columnar form; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PACKED_V1 = 1
_ONE_TIME = 1  # flag: all samples have the same time, stored once
_HEADER_BYTES = 8  # version, flags, 2 unused bytes, count as uint32: keeps the columns aligned


@dataclass(frozen=True, slots=True)
class Columns:
    """Parallel arrays: series ids, times in ms since 1970, values."""

    series: Ints
    times: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.series)

    @classmethod
    def of(cls, series: Sequence[int], times: Sequence[int], values: Sequence[float]) -> Columns:
        return cls(
            np.array(series, np.int64), np.array(times, np.int64), np.array(values, np.float64)
        )

    @classmethod
    def join(cls, parts: Sequence[Columns]) -> Columns:
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.of((), (), ())
        return cls(
            np.concatenate([part.series for part in parts]),
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.values for part in parts]),
        )

    def take(self, which: NDArray[np.bool_] | Ints) -> Columns:
        return Columns(self.series[which], self.times[which], self.values[which])

    def pack(self) -> bytes:
        """Version, flags, count; then times (int64), values (float64), series (uint32).

        Little-endian. 20 bytes a sample, 12 where all times are the same. Raises OverflowError
        for a series id that does not fit.
        """
        if len(self) and int(self.series.max()) >= 1 << 32:
            raise OverflowError(f"series {self.series.max()}: ids end at {(1 << 32) - 1}")
        one_time = len(self) > 0 and bool((self.times == self.times[0]).all())
        times = self.times[:1] if one_time else self.times
        header = bytes((PACKED_V1, _ONE_TIME if one_time else 0, 0, 0))
        return b"".join(
            (
                header + len(self).to_bytes(4, "little"),
                times.astype("<i8", copy=False).tobytes(),
                self.values.astype("<f8", copy=False).tobytes(),
                self.series.astype("<u4").tobytes(),
            )
        )

    @classmethod
    def unpack_all(
        cls, rows: Sequence[bytes], wanted: NDArray[np.bool_] | None = None
    ) -> tuple[Columns, Ints]:
        """The samples of many packed batches, and for each the index of its batch.

        Only those of series at whose id `wanted` is True; ids beyond its end are as its last. In
        no order: batches that have their columns at the same places are read together, which
        costs far less than one by one. Raises ValueError as unpack() does.
        """
        alike: dict[bytes, list[int]] = {}
        for number, data in enumerate(rows):
            alike.setdefault(bytes(data[:_HEADER_BYTES]), []).append(number)
        parts, numbers = [], []
        for header, those in alike.items():
            first = cls.unpack(rows[those[0]])
            count = len(first)
            if count == 0:
                continue
            times = 1 if header[1] & _ONE_TIME else count
            row = np.dtype(
                [
                    ("header", f"V{_HEADER_BYTES}"),
                    ("times", "<i8", (times,)),
                    ("values", "<f8", (count,)),
                    ("series", "<u4", (count,)),
                ]
            )
            if any(len(rows[number]) != row.itemsize for number in those):
                raise ValueError(f"packed batches of {count} samples have {row.itemsize} bytes")
            table = np.frombuffer(b"".join([rows[number] for number in those]), row)
            series = table["series"]
            taken = np.ones(series.shape, np.bool_)
            if wanted is not None:
                taken = wanted[np.minimum(series, len(wanted) - 1)]
            all_times = np.broadcast_to(table["times"], series.shape)
            ids = series[taken].astype(np.int64)
            parts.append(cls(ids, all_times[taken], table["values"][taken]))
            numbers.append(np.repeat(np.array(those, np.int64), taken.sum(axis=1)))
        return cls.join(parts), np.concatenate([np.empty(0, np.int64), *numbers])

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Columns:
        """The inverse of pack(). Raises ValueError for a version or a length it does not know."""
        view = memoryview(data)
        if len(view) < _HEADER_BYTES or view[0] != PACKED_V1:
            raise ValueError(f"not a packed batch of version {PACKED_V1}")
        count = int.from_bytes(view[4:8], "little")
        stored_times = 1 if view[1] & _ONE_TIME else count
        values_at = _HEADER_BYTES + 8 * stored_times
        series_at = values_at + 8 * count
        if len(view) != series_at + 4 * count:
            raise ValueError(f"a packed batch of {count} samples cannot have {len(view)} bytes")
        times = np.frombuffer(view, "<i8", stored_times, _HEADER_BYTES)
        return cls(
            np.frombuffer(view, "<u4", count, series_at).astype(np.int64),
            times if stored_times == count else np.full(count, times[0]),
            np.frombuffer(view, "<f8", count, values_at),
        )
