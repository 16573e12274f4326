"""What one query may read."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import QuerySet, Sum

from metrics.chunks import Row, Rows
from metrics.models import Batch, Chunk
from metrics.query import EvaluationError

FEW = 50  # rows, as most questions have them: fetched without asking before what they hold


class Budget:
    """Counts samples and buckets before they are decoded."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @property
    def left(self) -> int:
        """So many may still be read."""
        return self._most - self._taken

    def take(self, samples: int) -> None:
        """Raises EvaluationError when these are more than may still be read."""
        self._taken += samples
        if self._taken > self._most:
            raise EvaluationError(
                f"the range holds {self._taken:,} samples, at most {self._most:,} can be read: "
                "ask for a shorter one, or for a longer step"
            )

    def read(self, rows: Rows) -> Iterator[Row]:
        """The rows, once what they hold is taken. Raises EvaluationError."""
        few = rows.first(FEW)
        if len(few) < FEW:
            self.take(sum(count for *_, count in few))
            return iter(few)
        self.take(rows.held())
        return rows.each()


def held(rows: QuerySet[Chunk] | QuerySet[Batch]) -> int:
    """How many samples these rows hold."""
    return rows.aggregate(samples=Sum("count"))["samples"] or 0
