"""How far a long command is: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

BAR_CHARACTERS = 30
REDRAW_S = 0.1
LINE_S = 5.0  # between two lines where nobody watches a bar

Item = TypeVar("Item")


class Stream(Protocol):
    """What progress is written to; Django's command streams and plain files are such."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> None: ...
    def isatty(self) -> bool: ...


class Progress:
    """One piece of work of `total` units (0: nobody knows), named by `what`.

    `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        stream: Stream | None,
        what: str,
        total: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._what = what
        self._total = total
        self._clock = clock
        self._bar = stream is not None and stream.isatty()
        self._began_s = self._said_s = clock()
        self._drawn = 0
        self.done = 0

    def add(self, units: int) -> None:
        self.reach(self.done + units)

    def reach(self, done: int) -> None:
        """So many units are done, since the beginning."""
        self.done = done
        now_s = self._clock()
        if now_s - self._said_s >= (REDRAW_S if self._bar else LINE_S):
            self._said_s = now_s
            self._show(now_s)

    def end(self, sentence: str = "") -> None:
        """Takes the bar away and leaves one line."""
        took_s = self._clock() - self._began_s
        self._write(sentence or f"{self._what}: done in {took_s:.1f} s", last=True)

    def through(self, items: Iterable[Item], units: Callable[[Item], int]) -> Iterator[Item]:
        """The items as they come; each counts once it was dealt with."""
        for item in items:
            yield item
            self.add(units(item))

    def _show(self, now_s: float) -> None:
        if not self._total:
            self._write(f"{self._what}: {self.done:,}")
            return
        share = min(1.0, self.done / self._total)
        left = _left(now_s - self._began_s, share)
        bar = ""
        if self._bar:
            full = int(share * BAR_CHARACTERS)
            bar = f"[{'#' * full}{'.' * (BAR_CHARACTERS - full)}] "
        self._write(f"{self._what}: {bar}{share:4.0%}{left}")

    def _write(self, text: str, *, last: bool = False) -> None:
        if self._stream is None:
            return
        if self._bar:
            blanks = " " * max(0, self._drawn - len(text))
            self._stream.write(f"\r{text}{blanks}" + ("\n" if last else ""))
            self._drawn = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()


def _left(took_s: float, share: float) -> str:
    if share < 0.02 or took_s < 1:
        return ""
    left_s = round(took_s / share * (1 - share))
    minutes, seconds = divmod(left_s, 60)
    return f", {minutes} min {seconds} s left" if minutes else f", {seconds} s left"
