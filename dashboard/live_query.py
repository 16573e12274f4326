"""A live query: one expression at one step, evaluated once however many watch it.

Its newest steps are evaluated as samples arrive and appended to its ring. Touched only from the
event loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dashboard import protocol
from dashboard.binary_frames import UPDATE, Grid
from dashboard.frames import GridFrame
from dashboard.ring import Ring
from metrics.catalog import Known
from metrics.columns import Floats, Ints
from metrics.head import Head
from metrics.query import Expression, Matrix, Selector, SeriesData, evaluate

GRACE_MS = 500  # a step's own samples may come this late before the step is shown without them
CLOCK_BACK_MS = 5000  # a clock that was put back by more than this: the newest steps are wrong
MOST_VALUES = 200_000  # in an update; beyond, a snapshot of what is looked at is smaller

LabelSet = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """All that a snapshot tells: a row of `values` for each line, a column for each time.

    `band`: the least and the greatest values, in the same form; None: these are the values.
    """

    lines: list[protocol.Line]
    times: Ints
    values: Floats
    step_ms: int
    cursor: str
    band: tuple[Floats, Floats] | None = None


class HeadSource:
    """The head as a source for evaluate(), for series that were matched before."""

    def __init__(self, head: Head, matched: Mapping[Selector, Sequence[Known]]) -> None:
        self._head = head
        self._matched = matched

    def select(self, selector: Selector, start_ms: int, end_ms: int) -> list[SeriesData]:
        found = []
        for known in self._matched[selector]:
            times, values = self._head.read(known.id, start_ms, end_ms)
            if len(times):
                found.append(SeriesData(known.labels, times, values))
        return found


class LiveQuery:
    """`newest_ms` is the newest step in the ring; steps are multiples of `step_ms`."""

    def __init__(
        self,
        expression: Expression,
        step_ms: int,
        head: Head,
        lookback_ms: int,
        matched: dict[Selector, list[Known]],
        most_series: int,
        now_ms: int,
    ) -> None:
        self.expression = expression
        self.step_ms = step_ms
        self.ring = Ring()
        self.read_s = 0.0  # what reading the last snapshot from the log took
        self.lines: list[protocol.Line] = []
        self.ids = {known.id for series in matched.values() for known in series}
        self.window_ms = expression.window_ms(lookback_ms)
        self._lookback_ms = lookback_ms
        self._head = head
        self._matched = matched
        self._most_series = most_series
        self._is_crowded = False
        self._source = HeadSource(head, matched)
        self._rows: dict[LabelSet, int] = {}
        self._dirty_ms: int | None = None  # oldest sample not evaluated yet
        self._fresh_ms = 0  # newest sample not evaluated yet
        self._arrived_ns = 0
        self._readings: list[Reading] = []
        self._quiet = False  # nothing had a value at the newest step
        self._shown = False  # somebody has seen the lines
        newest = max((last[0] for id in self.ids if (last := head.last(id))), default=0)
        self.newest_ms = max(self._due_ms(now_ms), self.step_of(min(newest, now_ms)))

    # -- what happens --------------------------------------------------------------------------

    def add_series(self, known: Known) -> bool:
        """Takes in a series that is new to the process, if the expression picks it."""
        if known.id in self.ids:
            return False
        picking = [one for one in self._matched if one.matches(known.labels)]
        if picking and len(self.ids) >= self._most_series:
            self._refuse_all()
            return False
        for selector in picking:
            self._matched[selector].append(known)
            self.ids.add(known.id)
        times, _ = self._head.read(known.id, self._head.since_ms, self._head.newest_ms)
        if picking and len(times):
            self.touch(int(times[0]), int(times[-1]))
        return bool(picking)

    def drop_series(self, ids: set[int]) -> None:
        """These series were deleted: their lines go too."""
        if self.ids.isdisjoint(ids):
            return
        self.ids -= ids
        for selector, series in self._matched.items():
            self._matched[selector] = [known for known in series if known.id not in ids]
        self.begin_anew()

    def touch(self, oldest_ms: int, newest_ms: int, arrived_ns: int = 0) -> None:
        """Series of this query have new samples, the oldest and newest of them at these times."""
        self._dirty_ms = oldest_ms if self._dirty_ms is None else min(self._dirty_ms, oldest_ms)
        self._fresh_ms = max(self._fresh_ms, newest_ms)
        self._arrived_ns = self._arrived_ns or arrived_ns
        for reading in self._readings:
            reading.touched_ms = min(reading.touched_ms, oldest_ms)

    def _refuse_all(self) -> None:
        if not self._is_crowded:
            self._is_crowded = True
            self.begin_anew()  # and no reader gets a picture

    def needs_flush(self, now_ms: int) -> bool:
        """Whether something is to be shown: samples came, or a step has passed without."""
        if self._is_crowded:
            return False
        return self._dirty_ms is not None or self._due_ms(now_ms) > self.newest_ms

    def flush(self, now_ms: int) -> None:
        """Evaluates what changed and appends it to the ring, or begins anew."""
        if not self.needs_flush(now_ms):
            return
        dirty_ms, self._dirty_ms = self._dirty_ms, None
        fresh_ms, self._fresh_ms = self._fresh_ms, 0
        arrived_ns, self._arrived_ns = self._arrived_ns, 0
        if self.newest_ms > now_ms + self.step_ms + CLOCK_BACK_MS:
            self.newest_ms = self._due_ms(now_ms)
            self.begin_anew()
            return
        start_ms = self.newest_ms + self.step_ms
        end_ms = max(self.newest_ms, self._due_ms(now_ms))
        if dirty_ms is not None:
            start_ms = min(start_ms, self.step_of(dirty_ms))
            # A step is shown as soon as it has a sample, unless it lies wholly in the future.
            end_ms = max(end_ms, self.step_of(min(fresh_ms, now_ms)))
        if start_ms > end_ms:
            return
        self.newest_ms = end_ms
        steps = (end_ms - start_ms) // self.step_ms + 1
        if start_ms < self.head_from_ms() or steps * max(1, len(self.lines)) > MOST_VALUES:
            self.begin_anew()
            return
        self._show(self._evaluate(start_ms, end_ms), dirty_ms is None, arrived_ns)

    def _show(self, matrix: Matrix, no_sample_came: bool, arrived_ns: int) -> None:
        """Appends newly evaluated steps to the ring, but for silence that follows silence."""
        was_quiet = self._quiet
        self._quiet = not (matrix.values.size and np.isfinite(matrix.values[:, -1]).any())
        if no_sample_came and was_quiet and not matrix.labels:
            return
        before = len(self.lines)
        self._know(matrix.labels)
        block = self._block(matrix, matrix.values)
        self._append(matrix.times, block, self.lines[before:], arrived_ns, self._band([matrix]))

    def begin_anew(self) -> None:
        """Every reader gets a new snapshot: more has changed than the head, or a frame, holds."""
        self.lines, self._rows = [], {}
        self._shown = False
        self.ring.begin()

    # -- the whole picture ---------------------------------------------------------------------

    def picture(self, start_ms: int, older: Matrix | None) -> Picture:
        """Steps start_ms..newest_ms, `older` before that if given, with the ring's cursor.

        Raises WatchRefused.
        """
        if self._is_crowded:
            raise protocol.WatchRefused(
                "too_many_series",
                f"the expression picks more than {self._most_series:,} series by now: "
                "narrow it with label matchers",
            )
        matrices = [older] if older is not None else []
        if start_ms <= self.newest_ms:
            if start_ms >= self.head_from_ms():
                matrices.append(self._evaluate(start_ms, self.newest_ms))
            else:
                # The head has moved on meanwhile: without these steps now, and anew at once.
                self.touch(start_ms, start_ms)
        before = len(self.lines)
        for matrix in matrices:
            self._know(matrix.labels)
        if len(self.lines) > before and self._shown:
            # Readers of the ring must know every row that later updates will have.
            nothing = np.empty((len(self.lines), 0))
            self._append(np.empty(0, np.int64), nothing, self.lines[before:], 0)
        self._shown = True
        blocks = [self._block(matrix, matrix.values) for matrix in matrices]
        return Picture(
            self.lines[:],
            np.concatenate([np.empty(0, np.int64), *(matrix.times for matrix in matrices)]),
            np.hstack(blocks) if blocks else np.empty((len(self.lines), 0)),
            self.step_ms,
            self.ring.cursor,
            self._band(matrices),
        )

    def begin_reading(self) -> Reading:
        """While older steps are read elsewhere, remembers whether they change meanwhile."""
        reading = Reading()
        self._readings.append(reading)
        return reading

    def end_reading(self, reading: Reading, before_ms: int) -> None:
        """Evaluates again, for everybody, what changed before `before_ms` during the reading."""
        self._readings.remove(reading)
        if reading.touched_ms < before_ms:
            self.touch(int(reading.touched_ms), 0)

    # -- how -----------------------------------------------------------------------------------

    def head_from_ms(self, margin_ms: int = 0) -> int:
        """The oldest step that the head alone can answer."""
        return self.step_of(self._head.since_ms + margin_ms + self.window_ms)

    def step_of(self, time_ms: int) -> int:
        """The first step that a sample at `time_ms` belongs to."""
        return -(-time_ms // self.step_ms) * self.step_ms

    def _due_ms(self, now_ms: int) -> int:
        grace_ms = min(GRACE_MS, self.step_ms // 2)
        return (now_ms - grace_ms) // self.step_ms * self.step_ms

    def _evaluate(self, start_ms: int, end_ms: int) -> Matrix:
        # Longer steps get their band with a snapshot: the head need not reach so far back.
        band = self.step_ms <= self._lookback_ms
        steps = start_ms, end_ms, self.step_ms
        return evaluate(self.expression, self._source, *steps, self._lookback_ms, band=band)

    def _append(
        self,
        times: Ints,
        values: Floats,
        added: list[protocol.Line],
        arrived_ns: int,
        band: tuple[Floats, Floats] | None = None,
    ) -> None:
        grid = Grid(UPDATE, times, values, added, self.step_ms, band)
        self.ring.append(lambda cursor: GridFrame(grid, cursor), arrived_ns)

    def _know(self, labels: Iterable[Mapping[str, str]]) -> None:
        for one in labels:
            key = frozenset(one.items())
            if key not in self._rows:
                self._rows[key] = len(self.lines)
                self.lines.append(protocol.Line(dict(one)))

    def _block(self, matrix: Matrix, values: Floats) -> Floats:
        """A row for every known line: those the matrix does not have are empty (NaN)."""
        block = np.full((len(self.lines), len(matrix.times)), np.nan)
        if len(matrix.labels):
            block[[self._rows[frozenset(one.items())] for one in matrix.labels]] = values
        return block

    def _band(self, matrices: Sequence[Matrix]) -> tuple[Floats, Floats] | None:
        """Least and greatest values side by side; None where none of the matrices says more."""
        if all(one.low is None for one in matrices):
            return None
        low = [self._block(m, m.values if m.low is None else m.low) for m in matrices]
        high = [self._block(m, m.values if m.high is None else m.high) for m in matrices]
        return np.hstack(low), np.hstack(high)


class Reading:
    """The oldest sample that came while older steps were being read."""

    def __init__(self) -> None:
        self.touched_ms: float = float("inf")
