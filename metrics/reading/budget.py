"""What one query may read."""

from __future__ import annotations

from django.db.models import QuerySet, Sum

from metrics.models import Batch, Chunk
from metrics.query import EvaluationError


class Budget:
    """Counts samples and buckets before they are read."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @property
    def left(self) -> int:
        """So many may still be read."""
        return self._most - self._taken

    def take(self, rows: QuerySet[Chunk] | QuerySet[Batch]) -> None:
        """Raises EvaluationError when these rows hold more than may still be read."""
        self._taken += held(rows)
        if self._taken > self._most:
            raise EvaluationError(
                f"the range holds {self._taken:,} samples, at most {self._most:,} can be read: "
                "ask for a shorter one, or for a longer step"
            )


def held(rows: QuerySet[Chunk] | QuerySet[Batch]) -> int:
    """How many samples or buckets these rows hold."""
    return rows.aggregate(samples=Sum("count"))["samples"] or 0
