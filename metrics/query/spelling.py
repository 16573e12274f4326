"""Writing an expression tree as canonical PromQL: equal trees give equal texts."""

from __future__ import annotations

import re
from typing import Final

from metrics.query.nodes import Aggregate, Call, Node
from metrics.query.select import NAME_LABEL, Matcher, Selector

_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_UNITS_MS: Final = (
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
)
# Words with a meaning of their own where a metric name could stand.
_RESERVED: Final = re.compile(
    "and|or|unless|atan2|sum|avg|min|max|count|stddev|stdvar|topk|bottomk|count_values|quantile|"
    "group|limitk|limit_ratio|by|without|on|ignoring|group_left|group_right|bool|offset|start|end|"
    "nan|inf|step|range|fill|fill_left|fill_right|smoothed|anchored",
    re.IGNORECASE,
)


def spell(node: Node) -> str:
    """The canonical text of a tree."""
    if isinstance(node, Selector):
        return spell_selector(node)
    if isinstance(node, Call):
        return f"{node.function}({spell_selector(node.argument)})"
    return f"{node.operator}{_spell_grouping(node)}({spell(node.operand)})"


def spell_selector(selector: Selector) -> str:
    """``name{label="value"}[5m]``."""
    name = _bare_name(selector)
    shown = [
        _spell_matcher(matcher)
        for matcher in selector.matchers
        if name is None or matcher != Matcher(NAME_LABEL, "=", name)
    ]
    text = (name or "") + ("{" + ",".join(shown) + "}" if shown or name is None else "")
    return f"{text}[{spell_duration(selector.range_ms)}]" if selector.range_ms else text


def spell_duration(duration_ms: int) -> str:
    """``1h30m``; ``0s`` for nothing."""
    parts = []
    for unit, unit_ms in _UNITS_MS:
        count, duration_ms = divmod(duration_ms, unit_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def quote(text: str) -> str:
    """A PromQL string in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else _escape(c) for c in escaped) + '"'


def _escape(char: str) -> str:
    if char == "\n":
        return "\\n"
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _bare_name(selector: Selector) -> str | None:
    """The metric name, when it can stand in front of the braces."""
    names = [m.value for m in selector.matchers if m.name == NAME_LABEL]
    if len(names) != 1 or selector.metric_name is None:
        return None
    name = selector.metric_name
    return name if _METRIC_NAME.fullmatch(name) and not _RESERVED.fullmatch(name) else None


def _spell_matcher(matcher: Matcher) -> str:
    plain = _LABEL_NAME.fullmatch(matcher.name)
    name = matcher.name if plain else quote(matcher.name)
    return f"{name}{matcher.op}{quote(matcher.value)}"


def _spell_grouping(node: Aggregate) -> str:
    if not node.grouping and not node.without:
        return ""
    labels = ", ".join(
        name if _LABEL_NAME.fullmatch(name) else quote(name) for name in node.grouping
    )
    return f" {'without' if node.without else 'by'} ({labels}) "
