"""A first look at the text of an expression, before the parser sees it.

It bounds what the parser has to recurse into, says where brackets and strings go wrong (the
parser gives no positions), and respells raw strings, whose backslashes the parser misreads.
"""

from __future__ import annotations

import re
from typing import Final

from metrics.query.errors import ExpressionError
from metrics.query.spelling import quote

MAX_CHARS: Final = 4000
MAX_DEPTH: Final = 40
MAX_OPERATORS: Final = 100

_TOKEN: Final = re.compile(
    r"""
    (?P<string> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
  | (?P<raw> `[^`]*` )
  | (?P<quote> ["'`] )
  | (?P<comment> \#[^\n]* )
  | (?P<open> [(\[{] )
  | (?P<close> [)\]}] )
  | (?P<operator> [-+*/%^=!<>@]+ | \b(?:and|or|unless|atan2|offset)\b )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}


def scan(text: str) -> str:
    """The text, ready for the parser.

    Raises ExpressionError when it is empty, too long or too deep, or when a string or a bracket
    is left open, naming the place as a character counted from 1.
    """
    if len(text) > MAX_CHARS:
        raise ExpressionError(
            f"the expression has {len(text)} characters; at most {MAX_CHARS} are allowed"
        )
    if not text.strip():
        raise ExpressionError("the expression is empty; write a metric name such as cpu_percent")
    _check_encodable(text)
    pieces: list[str] = []
    opened: list[tuple[str, int]] = []
    operators = end = 0
    for token in _TOKEN.finditer(text):
        pieces.append(text[end : token.start()])
        end = token.end()
        pieces.append(_respelled(token))
        if token.lastgroup == "quote":
            raise ExpressionError(f"the string opened {_at(token.start())} is not closed")
        if token.lastgroup == "open":
            opened.append((token[0], token.start()))
            if len(opened) > MAX_DEPTH:
                raise ExpressionError(f"brackets are nested deeper than {MAX_DEPTH}")
        elif token.lastgroup == "close":
            _close(opened, token[0], token.start())
        elif token.lastgroup == "operator" and not any(one == "{" for one, _ in opened):
            operators += len(token[0])
            if operators > MAX_OPERATORS:
                raise ExpressionError("the expression has too many operators")
    if opened:
        bracket, start = opened[-1]
        raise ExpressionError(f"the `{bracket}` {_at(start)} is not closed")
    return "".join(pieces) + text[end:]


def locate(word: str, text: str) -> str:
    """`` at character N``, when the word stands in the text exactly once, else nothing."""
    return f" {_at(text.index(word))}" if word and text.count(word) == 1 else ""


def _at(index: int) -> str:
    return f"at character {index + 1}"


def _respelled(token: re.Match[str]) -> str:
    if token.lastgroup == "raw":
        return quote(token[0][1:-1])
    return " " if token.lastgroup == "comment" else token[0]


def _close(opened: list[tuple[str, int]], bracket: str, start: int) -> None:
    if not opened:
        raise ExpressionError(f"the `{bracket}` {_at(start)} closes nothing")
    expected = _CLOSING[opened[-1][0]]
    if bracket != expected:
        raise ExpressionError(
            f"`{bracket}` {_at(start)} should be `{expected}`, which closes the "
            f"`{opened[-1][0]}` {_at(opened[-1][1])}"
        )
    opened.pop()


def _check_encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ExpressionError(
            f"the character {_at(error.start).removeprefix('at character ')} is not valid Unicode"
        ) from None
