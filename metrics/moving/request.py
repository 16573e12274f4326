"""What somebody wants to export, checked, whether from the shell or over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from metrics.intake import FUTURE_MS, OLDEST_MS
from metrics.moving import export_arrow, export_text, ranges
from metrics.moving.export import Export, is_selector, of_samples, of_steps
from metrics.moving.trouble import CannotMove
from metrics.names import check_metric, shown
from metrics.query import Expression, ExpressionError, Selector, parse

CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}


@dataclass(frozen=True, slots=True)
class Request:
    """start_ms <= time < end_ms; `step_ms` 0: the samples themselves."""

    expression: Expression
    start_ms: int
    end_ms: int
    step_ms: int
    format: str
    time_format: str

    @property
    def file_name(self) -> str:
        start_ms = self.start_ms if self.start_ms > OLDEST_MS else 0
        return ranges.file_name(self.expression.text, start_ms, self.format)

    @property
    def selector(self) -> Selector:
        return self.expression.selectors[0]

    def export(self) -> Export:
        """What goes out, before it is written in the format."""
        if self.step_ms:
            return of_steps(self.expression, self.start_ms, self.end_ms, self.step_ms)
        return of_samples(self.selector, self.start_ms, self.end_ms)

    def written(self, export: Export) -> Iterator[bytes]:
        """The export in the format. May raise CannotMove, and EvaluationError on the way."""
        if self.format == "parquet":
            return export_arrow.parquet(export)
        if self.format == "jsonl":
            return export_text.jsonl(export)
        return export_text.csv(export, self.time_format)


def make(
    *, expr: str, metric: str, start: str, end: str, step: str, format: str, time_format: str,
    now_ms: int,
) -> Request:  # fmt: skip
    """Understands what people write; empty is the default. Raises CannotMove."""
    if bool(expr) == bool(metric):
        raise CannotMove("Expected an expression, or a metric's name, and not both.")
    try:
        if metric:
            check_metric(metric)
        expression = parse(expr or metric)
    except (ExpressionError, ValueError) as error:
        raise CannotMove(f"{error}") from None
    format = format or "csv"
    if format not in CONTENT_TYPES:
        raise CannotMove(f"{shown(format)} is not a format: expected {', '.join(CONTENT_TYPES)}.")
    time_format = time_format or "iso"
    export_text.check_time_format(time_format)
    end_ms = ranges.moment_ms(end, "to", now_ms) if end else now_ms + FUTURE_MS
    start_ms = ranges.moment_ms(start, "from", now_ms) if start else OLDEST_MS
    if start_ms >= end_ms:
        raise CannotMove("from: expected a moment before to.")
    step_ms = ranges.length_ms(step, "step") if step else 0
    if not step_ms and not is_selector(expression):
        raise CannotMove(
            f"{shown(expression.text)} is worked out at steps of time: say how long a step is "
            "(step, such as 1m)."
        )
    if step_ms and not (start and end):
        end_ms = min(end_ms, now_ms)
        if not start:
            raise CannotMove("from: expected a moment, as a step was given.")
    return Request(expression, start_ms, end_ms, step_ms, format, time_format)
