"""Progress, as a person at a terminal and as a log file see it."""

from __future__ import annotations

import io

from metrics.moving.progress import Progress


class Clock:
    """Seconds that pass when told so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nobody_who_asked_for_silence_hears_of_it() -> None:
    progress = Progress(None, "Copying", 10)
    progress.add(10)
    progress.end()
    assert progress.done == 10


def test_a_log_gets_a_line_now_and_then() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, "Copying", 1000, clock)
    for second in range(1, 11):
        clock.now_s = second
        progress.add(100)
    progress.end()
    assert out.getvalue().splitlines() == [
        "Copying:  50%, 5 s left",
        "Copying: 100%, 0 s left",
        "Copying: done in 10.0 s",
    ]


def test_a_terminal_gets_a_bar_that_leaves_one_line() -> None:
    out, clock = Terminal(), Clock()
    progress = Progress(out, "Copying", 400, clock)
    clock.now_s = 100
    progress.reach(100)
    progress.reach(101)  # too soon to draw again
    progress.end("Copied it.")
    bar = "Copying: [#######.......................]  25%, 5 min 0 s left"
    assert out.getvalue() == f"\r{bar}\rCopied it.{' ' * (len(bar) - 10)}\n"


def test_where_nobody_knows_the_end_it_counts() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, "Rows", 0, clock)
    clock.now_s = 6
    assert list(progress.through(["a", "bc"], len)) == ["a", "bc"]
    clock.now_s = 12
    progress.reach(12_345)
    assert out.getvalue() == "Rows: 1\nRows: 12,345\n"
