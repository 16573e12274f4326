"""Finding the first fault of a JSON body, and saying where it is.

The decoders of this package are fast and say little. When one of them refuses a body, or cannot
vouch that no key was given twice, the body is walked here once more, one item at a time, slowly
but in bounded memory: the answer then names the item, what was wrong and what was expected.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NoReturn

from metrics.formats.json_fields import Check
from metrics.formats.json_values import Pairs, kind_of, new_decoder, place_of
from metrics.names import shown
from metrics.refused import Refused

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_ITEM_CHARACTERS = 128 * 1024

_SPACE = re.compile(r"[ \t\n\r]*")


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
        self.decoder = new_decoder()

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
                raise Refused(400, place_of("", key), f"unknown field; {expected}")
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
        if not isinstance(item, Pairs):
            raise Refused(400, place, f"expected an object, got {kind_of(item)}")
        seen: set[str] = set()
        for key, value in item:
            field = self.shape.fields.get(key)
            if field is None:
                raise Refused(
                    400, place_of(place, key), f"unknown field; expected {self.shape.names}"
                )
            if key in seen:
                raise Refused(400, place_of(place, key), "given twice: expected it once")
            seen.add(key)
            field.check(place_of(place, key), value)
        for key, field in self.shape.fields.items():
            if field.required and key not in seen:
                raise Refused(
                    400, place_of(place, key), f"missing: every {self.shape.noun} needs one"
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
