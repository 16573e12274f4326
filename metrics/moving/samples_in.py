"""What a file to import is read into, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from metrics.moving.text_lines import Lines
from metrics.rows import Description
from metrics.samples import Sample


@dataclass(frozen=True, slots=True)
class Bad:
    """A line of which something could not be taken, and why."""

    line: int
    reason: str


Item = tuple[int, Sample] | Bad  # a sample comes with the number of its line


class Reader(Protocol):
    """One file in one format."""

    @property
    def sentence(self) -> str:
        """How it is understood, for people."""
        ...

    @property
    def descriptions(self) -> Mapping[str, Description]:
        """What the file says about metrics, as far as it was read."""
        ...

    def read(self, lines: Lines) -> Iterator[Item]: ...
