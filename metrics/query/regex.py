"""Label regexes: RE2 syntax, read into a small tree.

PromQL promises RE2, whose matching time is linear. Python's ``re`` speaks a different dialect
and can take exponential time on a short pattern, so patterns are read here and run by
``automaton``. Greediness and group numbers are read and forgotten: a label matches or it does not.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Final

from metrics.query.charsets import (
    ANY,
    ANY_BUT_NEWLINE,
    CONTROL_ESCAPES,
    ESCAPED_CLASSES,
    LAST_CODE_POINT,
    NAMED_CLASSES,
    Ranges,
    inverted,
    spans,
)
from metrics.query.errors import ExpressionError

MAX_REPEAT: Final = 1000
MAX_GROUP_DEPTH: Final = 40


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of ranges of code points, both ends included."""

    ranges: Ranges
    fold_case: bool = False

    @property
    def literal(self) -> str | None:
        """The character, when only one fits."""
        if self.fold_case or len(self.ranges) != 1 or self.ranges[0][0] != self.ranges[0][1]:
            return None
        return chr(self.ranges[0][0])


@dataclass(frozen=True, slots=True)
class Edge:
    """``^`` (at the start) or ``$`` (at the end): matches no character."""

    at_start: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Regex, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple[Regex, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    item: Regex
    least: int
    most: int | None


Regex = Chars | Edge | Sequence | Choice | Repeat


@dataclass(frozen=True, slots=True)
class _Flags:
    fold_case: bool = False
    dot_is_any: bool = True


def read(pattern: str) -> Regex:
    """The tree of a pattern. Raises ExpressionError with a sentence naming what is wrong in it."""
    reader = _Reader(pattern)
    tree = reader.choice(_Flags(), depth=0)
    if reader.at < len(pattern):
        raise reader.wrong("`)` has no `(` before it")
    return tree


class _Reader:
    """Recursive descent over one pattern; ``at`` is the next character to read."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def wrong(self, what: str) -> ExpressionError:
        shown = self.pattern if len(self.pattern) <= 60 else self.pattern[:57] + "..."
        return ExpressionError(f"the regex `{shown}` cannot be used: {what}")

    def peek(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def take(self, text: str) -> bool:
        found = self.peek(text)
        self.at += len(text) if found else 0
        return found

    def next(self) -> str:
        if self.at >= len(self.pattern):
            raise self.wrong("it ends too early")
        self.at += 1
        return self.pattern[self.at - 1]

    def until(self, end: str) -> str:
        stop = self.pattern.find(end, self.at)
        if stop < 0:
            raise self.wrong(f"`{end}` is missing")
        text, self.at = self.pattern[self.at : stop], stop + len(end)
        return text

    def choice(self, flags: _Flags, depth: int) -> Regex:
        """Alternatives up to the closing bracket (left unread) or the end."""
        if depth > MAX_GROUP_DEPTH:
            raise self.wrong(f"its groups are nested deeper than {MAX_GROUP_DEPTH}")
        options: list[Regex] = []
        items: list[Regex] = []
        while self.at < len(self.pattern) and not self.peek(")"):
            if self.take("|"):
                options.append(Sequence(tuple(items)))
                items = []
            elif self.peek("(?") and (changed := self.flags_only(flags)) is not None:
                flags = changed
            else:
                items.append(self.repeated(self.atom(flags, depth)))
        options.append(Sequence(tuple(items)))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def flags_only(self, flags: _Flags) -> _Flags | None:
        """The flags after ``(?i)``, which hold to the end of the group; None for other groups."""
        stop = self.pattern.find(")", self.at)
        letters = self.pattern[self.at + 2 : stop]
        if stop < 0 or not letters or set(letters) - set("imsU-"):
            return None
        self.at = stop + 1
        return self.with_letters(flags, letters)

    def with_letters(self, flags: _Flags, letters: str) -> _Flags:
        on, _, off = letters.partition("-")
        if set(on + off) - set("imsU"):
            raise self.wrong(f"the flags `{letters[:10]}` of a group are not known")
        if "m" in on:
            raise self.wrong("the flag `m` is not supported")
        return _Flags(
            fold_case=(flags.fold_case or "i" in on) and "i" not in off,
            dot_is_any=(flags.dot_is_any or "s" in on) and "s" not in off,
        )

    def atom(self, flags: _Flags, depth: int) -> Regex:
        char = self.next()
        if char == "(":
            return self.group(flags, depth)
        if char in "*+?":
            raise self.wrong(f"`{char}` has nothing before it to repeat")
        if char == "^" or (char == "\\" and self.take("A")):
            return Edge(at_start=True)
        if char == "$" or (char == "\\" and self.take("z")):
            return Edge(at_start=False)
        if char == ".":
            return Chars(ANY if flags.dot_is_any else ANY_BUT_NEWLINE)
        return Chars(self.chars_from(char), flags.fold_case)

    def chars_from(self, char: str) -> Ranges:
        """The characters meant by ``char``, just read, and by what belongs to it."""
        if char == "[":
            return self.char_class()
        return self.escape() if char == "\\" else spans(char * 2)

    def group(self, flags: _Flags, depth: int) -> Regex:
        if any(self.peek(sign) for sign in ("?=", "?!", "?<=", "?<!")):
            raise self.wrong("looking ahead or behind is not part of RE2")
        if self.take("?P<") or self.take("?<"):
            if not self.until(">").isidentifier():
                raise self.wrong("the name of a group is not a word")
        elif self.take("?"):
            flags = self.with_letters(flags, self.until(":"))
        inner = self.choice(flags, depth + 1)
        if not self.take(")"):
            raise self.wrong("a `(` is not closed")
        return inner

    def repeated(self, item: Regex) -> Regex:
        bounds = self.repeat_bounds()
        if bounds is None:
            return item
        self.take("?")
        if self.repeat_bounds() is not None:
            raise self.wrong("two repetitions follow each other")
        return Repeat(item, *bounds)

    def repeat_bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.take(sign):
                return bounds
        stop = self.pattern.find("}", self.at)
        if not self.peek("{") or stop < 0:
            return None
        least, comma, most = self.pattern[self.at + 1 : stop].partition(",")
        if not _is_number(least) or (most and not _is_number(most)):
            return None
        self.at = stop + 1
        low = int(least)
        high = low if not comma else int(most) if most else None
        if max(low, high or 0) > MAX_REPEAT or (high is not None and high < low):
            raise self.wrong(f"`{{{least}{comma}{most}}}` is not a count from 0 to {MAX_REPEAT}")
        return low, high

    def char_class(self) -> Ranges:
        negated = self.take("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self.peek("]"):
            first = False
            ranges.extend(self.class_item())
        self.take("]")
        return inverted(tuple(ranges)) if negated else tuple(ranges)

    def class_item(self) -> Ranges:
        if self.take("[:"):
            name = self.until(":]")
            known = NAMED_CLASSES.get(name.removeprefix("^"))
            if known is None:
                raise self.wrong(f"there is no class `[:{name}:]`")
            return inverted(known) if name.startswith("^") else known
        low = self.class_char()
        if not self.peek("-") or self.peek("-]"):
            return low
        self.take("-")
        high = self.class_char()
        begin, end = low[0][0], high[-1][1]
        if len(low) > 1 or len(high) > 1 or low[0][0] != low[0][1] or begin > end:
            raise self.wrong("a range in `[...]` does not run from a lower to a higher character")
        return ((begin, end),)

    def class_char(self) -> Ranges:
        char = self.next()
        return self.escape() if char == "\\" else spans(char * 2)

    def escape(self) -> Ranges:
        """What follows a backslash and stands for one character."""
        char = self.next()
        if char in ESCAPED_CLASSES:
            return ESCAPED_CLASSES[char]
        if char in CONTROL_ESCAPES:
            return spans(CONTROL_ESCAPES[char] * 2)
        if char == "x":
            digits = self.until("}") if self.take("{") else self.next() + self.next()
            if not 0 < len(digits) <= 8 or set(digits) - set(string.hexdigits):
                raise self.wrong("`\\x` needs two hexadecimal digits, or some in braces")
            code = int(digits, 16)
            if code > LAST_CODE_POINT:
                raise self.wrong(f"`\\x{{{digits}}}` is not a character")
            return ((code, code),)
        if char.isascii() and not char.isalnum():
            return spans(char * 2)
        raise self.wrong(f"`\\{char}` is not supported")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4
