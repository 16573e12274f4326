"""From PromQL text to an expression tree of our own, refusing what cannot be evaluated yet."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

import promql_parser as promql

from metrics.query import scan
from metrics.query.errors import ExpressionError
from metrics.query.nodes import Aggregate, Call, Expression, Node, is_aggregation, is_function
from metrics.query.select import NAME_LABEL, Matcher, MatchOperator, Selector
from metrics.query.spelling import quote, spell, spell_duration, spell_selector

MAX_RANGE_MS: Final = 366 * 86_400_000
SUPPORTED_FUNCTIONS: Final = "rate and increase"
SUPPORTED_AGGREGATIONS: Final = "sum, avg, min, max and count"

_MATCH_OPERATORS: Final[tuple[tuple[promql.MatchOp, MatchOperator], ...]] = (
    (promql.MatchOp.Equal, "="),
    (promql.MatchOp.NotEqual, "!="),
    (promql.MatchOp.Re, "=~"),
    (promql.MatchOp.NotRe, "!~"),
)


def parse(text: str) -> Expression:
    """Read a PromQL expression.

    Raises ExpressionError, and nothing else, with one sentence that says what is wrong with the
    text or names what is not supported yet.
    """
    tree = _parser_tree(text)
    try:
        root = _node(tree)
    except OverflowError:  # the parser knows durations of more days than Python does
        raise ExpressionError("a duration in the expression is too long") from None
    return Expression(text=spell(root), root=root)


def _parser_tree(text: str) -> promql.Expr:
    readable = scan.scan(text)
    try:
        return promql.parse(readable)
    except (ValueError, RecursionError) as error:
        raise ExpressionError(_sentence(str(error), text)) from None
    except BaseException as error:
        # A panic inside the parser arrives as a BaseException of its own.
        if type(error).__name__ != "PanicException":
            raise
        raise ExpressionError("the expression could not be read as PromQL") from None


def _node(expr: promql.Expr) -> Node:
    if isinstance(expr, promql.ParenExpr):
        return _node(expr.expr)
    if isinstance(expr, promql.AggregateExpr):
        return _aggregate(expr)
    if isinstance(expr, promql.Call):
        return _call(expr)
    if isinstance(expr, promql.VectorSelector):
        return _selector(expr)
    if isinstance(expr, promql.MatrixSelector):
        range_text = spell_selector(_range_selector(expr))
        raise ExpressionError(
            f"`{range_text}` is a range and gives no value by itself; "
            f"put it into a function as in `rate({range_text})`"
        )
    raise ExpressionError(_refusal(expr))


def _refusal(expr: promql.Expr) -> str:
    """Why an expression of a kind that is not supported at all is refused."""
    if isinstance(expr, promql.BinaryExpr):
        return f"the binary operator `{expr.op}` is not supported yet"
    if isinstance(expr, promql.UnaryExpr):
        return "the unary operator `-` is not supported yet"
    if isinstance(expr, promql.SubqueryExpr):
        step = "" if expr.step is None else spell_duration(_milliseconds(expr.step))
        length = "" if expr.range is None else spell_duration(_milliseconds(expr.range))
        return f"the subquery `[{length}:{step}]` is not supported yet"
    if isinstance(expr, promql.NumberLiteral):
        return f"the number `{expr}` on its own is not supported yet"
    if isinstance(expr, promql.StringLiteral):
        return f"the string {quote(expr.val[:40])} on its own is not supported yet"
    return f"an expression of the kind {type(expr).__name__} is not supported yet"


def _aggregate(expr: promql.AggregateExpr) -> Aggregate:
    operator = str(expr.op)
    if not is_aggregation(operator):
        raise ExpressionError(
            f"the aggregation `{operator}` is not supported yet; "
            f"supported are {SUPPORTED_AGGREGATIONS}"
        )
    operand = _node(expr.expr)
    if expr.modifier is None:
        return Aggregate(operator, operand)
    return Aggregate(
        operator,
        operand,
        grouping=tuple(sorted(set(expr.modifier.labels))),
        without=expr.modifier.type == promql.AggModifierType.Without,
    )


def _call(expr: promql.Call) -> Call:
    name = expr.func.name
    if not is_function(name):
        raise ExpressionError(
            f"the function `{name}` is not supported yet; supported are {SUPPORTED_FUNCTIONS}"
        )
    argument = expr.args[0]
    while isinstance(argument, promql.ParenExpr):
        argument = argument.expr
    if isinstance(argument, promql.SubqueryExpr):
        raise ExpressionError(_refusal(argument))
    if not isinstance(argument, promql.MatrixSelector):
        raise ExpressionError(f"`{name}` needs a range such as x_total[1m]")
    return Call(name, _range_selector(argument))


def _range_selector(expr: promql.MatrixSelector) -> Selector:
    range_ms = _milliseconds(expr.range)
    if not 0 < range_ms <= MAX_RANGE_MS:
        raise ExpressionError(
            f"a range must be from 1ms to {spell_duration(MAX_RANGE_MS)} long, such as [5m]"
        )
    return _selector(expr.vector_selector, range_ms)


def _selector(expr: promql.VectorSelector, range_ms: int = 0) -> Selector:
    if expr.offset is not None:
        sign = "-" if expr.offset < timedelta(0) else ""
        shown = f"offset {sign}{spell_duration(_milliseconds(abs(expr.offset)))}"
        raise ExpressionError(f"offset is not supported yet: remove `{shown}`")
    if expr.at is not None:
        raise ExpressionError("the modifier `@` is not supported yet: remove it and its time")
    if expr.matchers.or_matchers:
        raise ExpressionError(
            "`or` between label matchers is not supported yet: "
            'use a regex such as {label=~"a|b"} where it is one label'
        )
    matchers = [_matcher(one) for one in expr.matchers.matchers]
    if expr.name is not None:
        matchers.insert(0, Matcher(NAME_LABEL, "=", expr.name))
    selector = Selector(tuple(matchers), range_ms)
    if selector.matches_everything_empty:
        raise ExpressionError(_NO_MATCHER)
    return selector


def _matcher(matcher: promql.Matcher) -> Matcher:
    for operator, spelled in _MATCH_OPERATORS:
        if matcher.op == operator:
            return Matcher(matcher.name, spelled, matcher.value)
    raise ExpressionError(f"the matcher of the label `{matcher.name}` is not supported yet")


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


_NO_MATCHER: Final = (
    "a selector must name a metric or have a matcher that an absent label does not fit, "
    'such as {job="web"}'
)
# What the parser says, and what we say instead. A sentence may use the parser's own words.
_REWORDED: Final[tuple[tuple[str, str], ...]] = (
    (
        r"expected type matrix in call to function '(\w+)'.*",
        r"`\1` needs a range such as x_total[1m]",
    ),
    (r"expected type vector in call to function '(\w+)', got (\w+)", r"`\1` does not take a \2"),
    (
        r"expected type vector in aggregation expression, got matrix",
        "an aggregation takes one value per series, not a range: write `sum(rate(x_total[5m]))`",
    ),
    (
        r"expected type vector in aggregation expression, got (\w+)",
        r"an aggregation takes series, not a \1",
    ),
    (
        r"unknown function with name '(.*)'",
        rf"there is no function `\1`; supported are {SUPPORTED_FUNCTIONS}",
    ),
    (r"vector selector must contain .*", _NO_MATCHER),
    (r"metric name must not be set twice: '(.*)' or '(.*)'", r"the metric name is given twice"),
    (
        r"duration must be greater than 0|unexpected character inside brackets: '-'",
        "a range must be a positive duration such as [5m]",
    ),
    (r"illegal regex for (.*)", r"the regex `\1` is not valid"),
    (
        r"ranges only allowed for vector selectors",
        "a range such as [5m] can only follow a selector",
    ),
    (r"subquery is only allowed on .*", "a subquery is not supported yet"),
    (
        r"invalid promql query",
        "the expression could not be read as PromQL; "
        "a part is missing or two parts follow each other",
    ),
)


def _sentence(message: str, text: str) -> str:
    """One sentence for the user from the parser's message."""
    message = " ".join(message.split())
    for pattern, ours in _REWORDED:
        found = re.fullmatch(pattern, message)
        if found:
            return _shortened(found.expand(ours))
    named = re.search(r"'(.+)'", message)
    place = scan.locate(named[1], text) if named else ""
    return _shortened(f"the expression could not be read: {message}{place}")


def _shortened(sentence: str) -> str:
    return sentence if len(sentence) <= 300 else sentence[:297] + "..."
