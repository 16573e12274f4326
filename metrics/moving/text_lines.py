"""A text file line by line: numbered, bounded, unpacked, with how far that is."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from metrics.moving.trouble import CannotMove

LINE_BYTES = 1 << 20
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class Lines:
    """The lines of a file that is open, each with its line end.

    `number` is that of the line read last, `not_text` that of the last one that was not in the
    encoding; such a line comes with its odd bytes as lone surrogates.
    """

    def __init__(self, packed: BinaryIO, text: BinaryIO, encoding: str) -> None:
        self._packed = packed
        self._text = text
        self._encoding = encoding
        self.number = 0
        self.not_text = 0

    @property
    def position(self) -> int:
        """How many bytes of the file itself were read."""
        return self._packed.tell()

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(LINE_BYTES):
            self.number += 1
            if len(line) == LINE_BYTES and not line.endswith(b"\n"):
                raise CannotMove(
                    f"Line {self.number} is longer than {LINE_BYTES:,} bytes: is this a text file?"
                )
            if self.number == 1:
                line = _without_mark(line)
            try:
                yield line.decode(self._encoding)
            except UnicodeDecodeError:
                self.not_text = self.number
                yield line.decode("ascii", "surrogateescape")


def _without_mark(line: bytes) -> bytes:
    if line[:2] in _MARKS:
        raise CannotMove("This is UTF-16 text: expected UTF-8 (or see --encoding).")
    return line.removeprefix(b"\xef\xbb\xbf")


def check_encoding(name: str) -> None:
    """Raises CannotMove for an encoding whose lines cannot be told without decoding."""
    try:
        if "a;\n".encode(name) == b"a;\n":
            return
    except LookupError:
        pass
    raise CannotMove(
        f"The encoding {name!r} is not known: expected utf-8, latin-1, cp1252 or another one "
        "whose digits are those of ASCII."
    )


class TextFile:
    """A file that can be read from its beginning several times; `name` is for people."""

    def __init__(self, path: Path, name: str, encoding: str) -> None:
        self.path = path
        self.name = name
        self._encoding = encoding
        self.size_bytes = path.stat().st_size

    @property
    def stem(self) -> str:
        """Its name without folder and endings."""
        return self.name.rsplit(os.sep, 1)[-1].split(".", 1)[0]

    @contextmanager
    def lines(self) -> Iterator[Lines]:
        try:
            with self.path.open("rb") as packed:
                is_gzip = packed.read(2) == b"\x1f\x8b"
                packed.seek(0)
                text = cast(BinaryIO, gzip.GzipFile(fileobj=packed)) if is_gzip else packed
                yield Lines(packed, text, self._encoding)
        except (EOFError, gzip.BadGzipFile) as error:
            raise CannotMove(f"{self.name} cannot be unpacked: {error}.") from None


@contextmanager
def opened(name: str, encoding: str) -> Iterator[TextFile]:
    """The file of this name, or standard input for "-". Raises CannotMove."""
    check_encoding(encoding)
    if name == "-":
        # It is read twice: checked as a whole before anything is stored.
        with tempfile.NamedTemporaryFile(prefix="pulseboard-import-") as kept:
            shutil.copyfileobj(sys.stdin.buffer, kept)
            kept.flush()
            yield TextFile(Path(kept.name), "standard input", encoding)
        return
    path = Path(name)
    if not path.is_file():
        raise CannotMove(f"{name} is not a file that can be read.")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise CannotMove(f"{name} cannot be read: {error.strerror}.") from None
    yield TextFile(path, name, encoding)
