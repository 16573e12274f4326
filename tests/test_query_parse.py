"""Reading expressions: what is refused, in which words, and what is understood."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.query import ExpressionError, Matcher, Selector, parse
from metrics.query.nodes import Aggregate, Call
from metrics.query.scan import MAX_CHARS, MAX_DEPTH


def refusal(text: str) -> str:
    with pytest.raises(ExpressionError) as refused:
        parse(text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("x offset 5m", "offset is not supported yet: remove `offset 5m`"),
        ("x offset -90s", "offset is not supported yet: remove `offset -1m30s`"),
        ("rate(x[1m] offset 1h)", "remove `offset 1h`"),
        ("x @ 1600000000", "`@` is not supported yet"),
        ("x @ start()", "`@` is not supported yet"),
        ("rate(x[5m:10s])", "the subquery `[5m:10s]` is not supported yet"),
        ("x[5m:]", "the subquery `[5m:]` is not supported yet"),
        ("x + y", "the binary operator `+` is not supported yet"),
        ("sum(x) / sum(y)", "the binary operator `/` is not supported yet"),
        ("x > bool 1", "the binary operator `>` is not supported yet"),
        ("x or y", "the binary operator `or` is not supported yet"),
        ("-x", "the unary operator `-` is not supported yet"),
        ("1", "the number `1` on its own is not supported yet"),
        ("NaN", "the number `NaN` on its own is not supported yet"),
        ('"word"', 'the string "word" on its own is not supported yet'),
        ("histogram_quantile(0.9, x)", "`histogram_quantile` is not supported yet; supported are"),
        ("time()", "the function `time` is not supported yet; supported are rate and increase"),
        ("topk(3, x)", "the aggregation `topk` is not supported yet; supported are sum, avg,"),
        ("quantile by (a) (0.5, x)", "the aggregation `quantile` is not supported yet"),
        ('x{a="1" or b="2"}', "`or` between label matchers is not supported yet"),
    ],
)
def test_what_is_not_supported_yet_is_named(text: str, named: str) -> None:
    assert named in refusal(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the expression is empty"),
        (" \n ", "the expression is empty"),
        ("x[5m]", "`x[5m]` is a range and gives no value by itself"),
        ("(x[5m])", "put it into a function as in `rate(x[5m])`"),
        ("rate(x_total)", "`rate` needs a range such as x_total[1m]"),
        ("increase(sum(x))", "`increase` needs a range such as x_total[1m]"),
        ("sum(x[5m])", "an aggregation takes one value per series, not a range"),
        ("nonsense(x)", "there is no function `nonsense`; supported are rate and increase"),
        ("rate(x[0s])", "a range must be a positive duration such as [5m]"),
        ("rate(x[-1m])", "a range must be a positive duration such as [5m]"),
        ("rate(x[0.0001])", "a range must be from 1ms to 366d long"),
        ("rate(x[400d])", "a range must be from 1ms to 366d long"),
        ("x offset 9999999y", "a duration in the expression is too long"),
        ("{}", "a selector must name a metric"),
        ('{job=~".*"}', "a selector must name a metric"),
        ('{job!="web"}', "a selector must name a metric"),
        ('x{__name__="y"}', "the metric name is given twice"),
        ('x{a=~"("}', "the regex `(` is not valid"),
        ("sum(x", "the `(` at character 4 is not closed"),
        ("sum(x))", "the `)` at character 7 closes nothing"),
        ("rate(x[5m)", "`)` at character 10 should be `]`, which closes the `[` at character 7"),
        ('x{a="b', "the string opened at character 5 is not closed"),
        ("x{a=b}", "unexpected identifier 'b' in label matching, expected string at character 5"),
        ("x y", "could not be read as PromQL"),
        ("x{a='\ud800'}", "the character 6 is not valid Unicode"),
    ],
)
def test_a_mistake_is_explained_in_one_sentence(text: str, said: str) -> None:
    message = refusal(text)
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    [
        "x" * (MAX_CHARS + 1),
        "(" * (MAX_DEPTH + 1) + "x" + ")" * (MAX_DEPTH + 1),
        "sum(" * (MAX_DEPTH + 1) + "x" + ")" * (MAX_DEPTH + 1),
        "-" * 3000 + "x",
        "+".join(["x"] * 1000),
        " or ".join(["x"] * 700),
        "(" * MAX_CHARS,
        "{" * MAX_CHARS,
        "x" + "[1m:1m]" * 500,
    ],
    ids=lambda text: f"{text[:6]}... {len(text)}",
)
def test_a_text_made_to_exhaust_the_parser_is_refused(text: str) -> None:
    assert refusal(text)


def test_the_deepest_text_allowed_is_read_on_a_small_stack() -> None:
    script = (
        "import threading\n"
        "from metrics.query import parse\n"
        "threading.stack_size(256 * 1024)\n"
        f"deep = 'sum(' * {MAX_DEPTH} + 'x' + ')' * {MAX_DEPTH}\n"
        "reader = threading.Thread(target=lambda: print(len(parse(deep).text)))\n"
        "reader.start(); reader.join()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, str(5 * MAX_DEPTH + 1)), ran.stderr


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except ExpressionError as refused:
        assert str(refused)


PIECES = (
    "x up rate increase sum avg topk by without offset on or and bool ( ) [ ] { } , = != =~ !~ + - "
    '* / ^ @ 5m 0s 1h30m [1m] [5m:1m] 1 1e9 -3 NaN "a" "(a+)+" `\\d` a b __name__ start() # \\ \' "'
)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES.split(" ")), max_size=25), st.sampled_from(["", " "]))
def test_any_heap_of_promql_pieces_is_read_or_refused(pieces: list[str], between: str) -> None:
    try:
        text = parse(between.join(pieces)).text
    except ExpressionError as refused:
        assert str(refused)
    else:
        assert parse(text).text == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("x", "x"),
        (" ( ( x ) ) ", "x"),
        ("+x", "x"),
        ("x{}", "x"),
        ('{__name__="x", a!="b",}', 'x{a!="b"}'),
        ("{__name__='sum'}", '{__name__="sum"}'),
        ('{"a metric","a label"=~"b|c"}', '{__name__="a metric","a label"=~"b|c"}'),
        ("x{a=`b\\d`}", 'x{a="b\\\\d"}'),
        ('x{a="\\"\\n\\u0007"}', 'x{a="\\"\\n\\u0007"}'),
        ("rate((x[90])) # per second", "rate(x[1m30s])"),
        ("SUM(x) BY (b, a)", "sum by (a, b) (x)"),
        ("sum by () (x)", "sum(x)"),
        ("count without () (x)", "count without () (x)"),
        ('avg by ("a b") (increase(x[1500ms]))', 'avg by ("a b") (increase(x[1s500ms]))'),
    ],
)
def test_equal_expressions_have_one_spelling(text: str, canonical: str) -> None:
    assert parse(text).text == canonical
    assert parse(canonical) == parse(text)


def test_an_expression_shows_its_tree_and_selectors() -> None:
    expression = parse('max by (job) (sum without (cpu) (rate(x_total{mode!="idle"}[2m])))')
    selector = Selector(
        (Matcher("__name__", "=", "x_total"), Matcher("mode", "!=", "idle")), 120_000
    )
    inner = Aggregate("sum", Call("rate", selector), grouping=("cpu",), without=True)
    assert expression.root == Aggregate("max", inner, grouping=("job",))
    assert expression.selectors == (selector,)
    assert selector.metric_name == "x_total"


def test_the_window_is_the_range_or_the_lookback() -> None:
    assert parse("rate(x[1m])").window_ms(lookback_ms=300_000) == 60_000
    assert parse("sum(x)").window_ms(lookback_ms=300_000) == 300_000


LABELS = {"__name__": "x", "job": "api-server", "zone": "eu"}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("x", True),
        ("y", False),
        ('{__name__=~"x|y"}', True),
        ('x{job="api-server"}', True),
        ('x{job="api"}', False),
        ('x{job=~"api"}', False),
        ('x{job=~"api.*"}', True),
        ('x{job!~"api"}', True),
        ('x{job!~".*server"}', False),
        ('x{absent=""}', True),
        ('x{absent!=""}', False),
        ('x{absent=~".*"}', True),
        ('x{absent=~".+"}', False),
        ('x{absent!="a", zone=~"eu|us"}', True),
    ],
)
def test_a_selector_takes_the_series_promql_would(text: str, selected: bool) -> None:
    assert parse(text).selectors[0].matches(LABELS) is selected


def test_a_name_matched_by_regex_is_no_single_name() -> None:
    assert parse('{__name__=~"x"}').selectors[0].metric_name is None
