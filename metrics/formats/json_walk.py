"""Finding the first fault of a JSON body, and saying where it is.

The decoders of this package are fast and say little. When one of them refuses a body, or cannot
vouch that no key was given twice, the body is walked here once more, one item at a time, slowly
but in bounded memory: the answer then names the item, what was wrong and what was expected.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from metrics.names import shown, unclean
from metrics.refused import Refused

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_ITEM_CHARACTERS = 128 * 1024
INT64_MAX = 2**63 - 1

_SPACE = re.compile(r"[ \t\n\r]*")
_MAX_DIGITS = 400  # more than any finite float has before its point

Check = Callable[[str, object], None]


@dataclass(frozen=True)
class Field:
    """One field of an item: `check(place, value)` raises Refused when the value will not do."""

    check: Check
    required: bool = False


@dataclass(frozen=True)
class Shape:
    """A body {"<envelope>": [item, ...]} and the fields its items may have."""

    envelope: str
    noun: str
    fields: dict[str, Field]
    max_items: int

    @property
    def names(self) -> str:
        """The field names, for a sentence."""
        return ", ".join(self.fields)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written: in order, doubled keys included."""


@dataclass(frozen=True)
class _Token:
    """A number Python reads but that is not one here: NaN, Infinity, thousands of digits."""

    text: str


def check_size(body: bytes, most_bytes: int) -> None:
    """Raises Refused(413) for a body over the limit."""
    if len(body) > most_bytes:
        raise too_large(most_bytes)


def too_large(most_bytes: int) -> Refused:
    """The refusal of a body with more bytes than one may have."""
    return Refused(413, "body", f"more than {most_bytes:,} bytes: send several requests")


def check_body(body: bytes, shape: Shape) -> None:
    """Walks the whole body and raises Refused at its first fault; returns when it has none."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(
            400, "body", f"not UTF-8 (byte {error.start}): expected JSON in UTF-8"
        ) from None
    _Walk(text, shape).envelope()


class _Walk:
    """One pass over the text; the envelope by hand, each item by the standard library."""

    def __init__(self, text: str, shape: Shape) -> None:
        self.text = text
        self.shape = shape
        self.position = 0
        self.decoder = json.JSONDecoder(
            object_pairs_hook=_Pairs, parse_constant=_Token, parse_int=_integer
        )

    def envelope(self) -> None:
        name = self.shape.envelope
        expected = f'expected {{"{name}": [...]}}'
        if not self._peek():
            raise Refused(400, "body", f"empty: {expected}")
        if self._peek() != "{":
            found = self._value("body", expected)
            raise Refused(400, "body", f"{expected}, got {kind_of(found)}")
        self.position += 1
        seen = False
        while self._peek() != "}":
            if seen:
                self._expect(",", "body")
                if self._peek() != '"':
                    self._malformed("body", "expected a key")
            key = self._value("body", "expected a key")
            if not isinstance(key, str):
                self._malformed("body", f"expected a key, got {kind_of(key)}")
            if key != name:
                raise Refused(400, _place("", key), f"unknown field; {expected}")
            if seen:
                raise Refused(400, name, "given twice: expected it once")
            seen = True
            self._expect(":", name)
            self._items()
        self.position += 1
        if self._peek():
            self._malformed("body", "expected nothing after the closing }")
        if not seen:
            raise Refused(400, name, f"missing: {expected}")

    def _items(self) -> None:
        name = self.shape.envelope
        if self._peek() != "[":
            found = self._value(name, "expected an array")
            raise Refused(400, name, f"expected an array of objects, got {kind_of(found)}")
        self.position += 1
        index = 0
        while self._peek() != "]":
            if index:
                self._expect(",", f"{name}[{index - 1}]")
            if index >= self.shape.max_items:
                raise too_many(self.shape)
            place = f"{name}[{index}]"
            self._item(place, self._value(place, "expected an object"))
            index += 1
        self.position += 1

    def _item(self, place: str, item: object) -> None:
        if not isinstance(item, _Pairs):
            raise Refused(400, place, f"expected an object, got {kind_of(item)}")
        seen: set[str] = set()
        for key, value in item:
            field = self.shape.fields.get(key)
            if field is None:
                raise Refused(
                    400, _place(place, key), f"unknown field; expected {self.shape.names}"
                )
            if key in seen:
                raise Refused(400, _place(place, key), "given twice: expected it once")
            seen.add(key)
            field.check(_place(place, key), value)
        for key, field in self.shape.fields.items():
            if field.required and key not in seen:
                raise Refused(
                    400, _place(place, key), f"missing: every {self.shape.noun} needs one"
                )

    def _peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        match = _SPACE.match(self.text, self.position)
        self.position = match.end() if match else self.position
        return self.text[self.position : self.position + 1]

    def _expect(self, character: str, place: str) -> None:
        if self._peek() != character:
            self._malformed(place, f"expected {character}")
        self.position += 1

    def _value(self, place: str, expected: str) -> object:
        """The JSON value that begins here."""
        self._peek()
        window, start = self.text, self.position
        if len(window) - start > MAX_ITEM_CHARACTERS:
            window, start = window[start : start + MAX_ITEM_CHARACTERS], 0
        try:
            value, end = self.decoder.raw_decode(window, start)
        except json.JSONDecodeError as error:
            if window is not self.text:
                raise Refused(
                    400,
                    place,
                    f"not valid JSON, or longer than {MAX_ITEM_CHARACTERS:,} characters: "
                    f"{expected}",
                ) from None
            self.position = error.pos
            self._malformed(place, error.msg)
        except RecursionError:
            raise Refused(400, place, f"nested too deeply: {expected}") from None
        self.position += end - start
        return value

    def _malformed(self, place: str, reason: str) -> NoReturn:
        at = self.position
        found = shown(self.text[at : at + 1]) if at < len(self.text) else "the end of the body"
        reason = reason[:1].lower() + reason[1:].removesuffix(" at").removesuffix(" starting")
        raise Refused(400, place, f"not valid JSON: {reason}, got {found} (character {at})")


def too_many(shape: Shape) -> Refused:
    """The refusal of a request with more items than one may have."""
    return Refused(
        413,
        shape.envelope,
        f"more than {shape.max_items:,} {shape.envelope} in one request: send several requests",
    )


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
    if isinstance(value, _Token):
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
    if isinstance(value, _Token):
        raise Refused(400, place, f"{value.text}: {expected}")
    if isinstance(value, float):
        raise Refused(400, place, f"{expected}, got a number with a fraction or an exponent")
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(400, place, f"{expected}, got {kind_of(value)}")
    if not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise Refused(400, place, f"beyond 64 bits: {expected}")


def labels_field(place: str, value: object) -> None:
    """A check for an object of strings, each name given once."""
    if not isinstance(value, _Pairs):
        raise Refused(400, place, f"expected an object of strings, got {kind_of(value)}")
    seen: set[str] = set()
    for name, text in value:
        inner = _place(place, name)
        if name in seen:
            raise Refused(400, inner, "given twice: expected each label once")
        seen.add(name)
        reason = unclean(_string(inner, text)) or unclean(name)
        if reason:
            raise Refused(400, inner, reason)


def kind_of(value: object) -> str:
    """What a JSON value is, for a sentence."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, _Pairs):
        return "an object"
    if isinstance(value, list):
        return "an array"
    return value.text if isinstance(value, _Token) else "a number"


def _string(place: str, value: object) -> str:
    if not isinstance(value, str):
        raise Refused(400, place, f"expected a string, got {kind_of(value)}")
    return value


def _place(parent: str, key: str) -> str:
    """`parent.key`, or `parent["odd key"]` when the key is no plain word."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", key, re.ASCII):
        return f"{parent}.{key}" if parent else key
    return f"{parent}[{shown(key)}]"


def _either(choices: tuple[str, ...]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _integer(digits: str) -> int | _Token:
    """int() of a bounded number of digits: converting many takes quadratic time."""
    return int(digits) if len(digits) <= _MAX_DIGITS else _Token(f"{digits[:20]}...")
