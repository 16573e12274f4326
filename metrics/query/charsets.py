"""Characters of label regexes: ranges of code points, and the classes RE2 has names for."""

from __future__ import annotations

from typing import Final

LAST_CODE_POINT: Final = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]


def inverted(ranges: Ranges) -> Ranges:
    """Every character that is not in ``ranges``."""
    gaps, begin = [], 0
    for low, high in sorted(ranges):
        if low > begin:
            gaps.append((begin, low - 1))
        begin = max(begin, high + 1)
    if begin <= LAST_CODE_POINT:
        gaps.append((begin, LAST_CODE_POINT))
    return tuple(gaps)


def spans(text: str) -> Ranges:
    """``"09az"`` as the ranges 0 to 9 and a to z."""
    return tuple((ord(first), ord(last)) for first, last in zip(text[::2], text[1::2], strict=True))


_DIGIT, _WORD, _SPACE = spans("09"), spans("09AZ__az"), spans("\t\n\f\r  ")
ESCAPED_CLASSES: Final[dict[str, Ranges]] = {
    "d": _DIGIT,
    "w": _WORD,
    "s": _SPACE,
    "D": inverted(_DIGIT),
    "W": inverted(_WORD),
    "S": inverted(_SPACE),
}
NAMED_CLASSES: Final[dict[str, Ranges]] = {
    "alnum": spans("09AZaz"),
    "alpha": spans("AZaz"),
    "ascii": spans("\x00\x7f"),
    "blank": spans("\t\t  "),
    "cntrl": spans("\x00\x1f\x7f\x7f"),
    "digit": _DIGIT,
    "graph": spans("!~"),
    "lower": spans("az"),
    "print": spans(" ~"),
    "punct": spans("!/:@[`{~"),
    "space": spans("\t\r  "),
    "upper": spans("AZ"),
    "word": _WORD,
    "xdigit": spans("09AFaf"),
}
CONTROL_ESCAPES: Final = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
ANY: Final[Ranges] = ((0, LAST_CODE_POINT),)
ANY_BUT_NEWLINE: Final = inverted(spans("\n\n"))
