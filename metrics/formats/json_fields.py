"""Checks of single fields: each takes a place and a value, and raises Refused for a wrong one."""

from __future__ import annotations

import math
from collections.abc import Callable

from metrics.formats.json_values import Pairs, Token, kind_of, place_of
from metrics.names import shown, unclean
from metrics.refused import Refused

INT64_MAX = 2**63 - 1

Check = Callable[[str, object], None]


def text_field(*, empty: bool = True, lines: bool = False) -> Check:
    """A check for strings that can be stored and shown; `lines` allows line breaks."""

    def check(place: str, value: object) -> None:
        text = _string(place, value)
        if not text and not empty:
            raise Refused(400, place, "empty: expected some text")
        reason = unclean(text, lines=lines)
        if reason:
            raise Refused(400, place, reason)

    return check


def choice_field(*choices: str) -> Check:
    """A check for one of a few words."""

    def check(place: str, value: object) -> None:
        text = _string(place, value)
        if text not in choices:
            raise Refused(400, place, f"expected {_either(choices)}, got {shown(text)}")

    return check


def number_field(place: str, value: object) -> None:
    """A check for a finite number."""
    if isinstance(value, Token):
        raise Refused(400, place, f"{value.text} cannot be stored: expected a finite number")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(400, place, f"expected a number, got {kind_of(value)}")
    try:
        finite = math.isfinite(float(value))
    except OverflowError:
        finite = False
    if not finite:
        raise Refused(400, place, "too large for a 64-bit float: expected a number below 1.8e308")


def time_field(place: str, value: object) -> None:
    """A check for milliseconds since 1970 (whether the moment is plausible, intake knows)."""
    expected = "expected whole milliseconds since 1970"
    if value is None:
        return
    if isinstance(value, Token):
        raise Refused(400, place, f"{value.text}: {expected}")
    if isinstance(value, float):
        raise Refused(400, place, f"{expected}, got a number with a fraction or an exponent")
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(400, place, f"{expected}, got {kind_of(value)}")
    if not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise Refused(400, place, f"beyond 64 bits: {expected}")


def labels_field(place: str, value: object) -> None:
    """A check for an object of strings, each name given once."""
    if not isinstance(value, Pairs):
        raise Refused(400, place, f"expected an object of strings, got {kind_of(value)}")
    seen: set[str] = set()
    for name, text in value:
        inner = place_of(place, name)
        if name in seen:
            raise Refused(400, inner, "given twice: expected each label once")
        seen.add(name)
        reason = unclean(_string(inner, text)) or unclean(name)
        if reason:
            raise Refused(400, inner, reason)


def _string(place: str, value: object) -> str:
    if not isinstance(value, str):
        raise Refused(400, place, f"expected a string, got {kind_of(value)}")
    return value


def _either(choices: tuple[str, ...]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"
