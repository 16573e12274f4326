"""Queries over metrics, in PromQL: ``parse`` a text, ``evaluate`` the expression."""

from metrics.query.errors import EvaluationError, ExpressionError
from metrics.query.evaluate import DEFAULT_LOOKBACK_MS, Matrix, evaluate
from metrics.query.nodes import Expression
from metrics.query.parse import parse
from metrics.query.select import Matcher, Selector
from metrics.query.windows import SeriesData, Source

__all__ = [
    "DEFAULT_LOOKBACK_MS",
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "Matcher",
    "Matrix",
    "Selector",
    "SeriesData",
    "Source",
    "evaluate",
    "parse",
]
