"""Pieces of samples -> Parquet, where the library pyarrow is installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from metrics.moving.export import Export, Piece
from metrics.moving.trouble import CannotMove

ROWS_AT_ONCE = 100_000  # a row group: small enough for memory, large enough to compress


def library() -> Any:
    """Raises CannotMove with how to get it."""
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError:
        raise CannotMove(
            "Parquet needs the library pyarrow, which is not installed: pip install pyarrow, or "
            "choose csv or jsonl."
        ) from None


def parquet(export: Export) -> Iterator[bytes]:
    """A file with the columns time (ms, UTC), metric, value and one per label.

    Raises CannotMove before the first bytes when pyarrow is not installed.
    """
    return _write(export, library())


def _write(export: Export, arrow: Any) -> Iterator[bytes]:
    text = arrow.dictionary(arrow.int32(), arrow.string())
    schema = arrow.schema(
        [
            ("time", arrow.timestamp("ms", tz="UTC")),
            ("metric", text),
            ("value", arrow.float64()),
            *((name if name not in ("time", "metric", "value") else f"label_{name}", text)
              for name in export.labels),
        ]
    )  # fmt: skip
    sink = _Sink()
    file = arrow.PythonFile(sink, mode="w")
    with arrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        waiting: list[Piece] = []
        rows = 0
        for piece in export.pieces:
            waiting.append(piece)
            rows += len(piece.times)
            if rows >= ROWS_AT_ONCE:
                writer.write_table(_table(arrow, schema, export.labels, waiting))
                waiting, rows = [], 0
                yield sink.taken()
        if waiting:
            writer.write_table(_table(arrow, schema, export.labels, waiting))
    yield sink.taken()


def _table(arrow: Any, schema: Any, names: list[str], pieces: list[Piece]) -> Any:
    batches = []
    for piece in pieces:
        length = len(piece.times)
        columns = [
            arrow.array(piece.times, arrow.timestamp("ms", tz="UTC")),
            _same(arrow, piece.metric, length),
            arrow.array(piece.values),
            *(_same(arrow, piece.labels.get(name), length) for name in names),
        ]
        batches.append(arrow.RecordBatch.from_arrays(columns, schema=schema))
    return arrow.Table.from_batches(batches, schema=schema).unify_dictionaries()


def _same(arrow: Any, text: str | None, length: int) -> Any:
    """A column that says the same in every row; None: nothing."""
    if text is None:
        return arrow.nulls(length, arrow.dictionary(arrow.int32(), arrow.string()))
    places = arrow.array([0], arrow.int32()).take(arrow.array([0] * length, arrow.int32()))
    return arrow.DictionaryArray.from_arrays(places, arrow.array([text], arrow.string()))


class _Sink:
    """What a file is to pyarrow; keeps what was written until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0
        self.closed = False

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._position += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Nothing to do: whoever takes the bytes sends them."""

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
