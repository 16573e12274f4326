"""What the text of a JSON body becomes while it is walked, and how a sentence names it.

Unlike the plain reading into dicts and floats, this keeps doubled keys and the numbers that
cannot be stored, so that they can be refused by name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from metrics.names import shown

_MAX_DIGITS = 400  # more than any finite float has before its point


class Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written: in order, doubled keys included."""


@dataclass(frozen=True)
class Token:
    """A number Python reads but that is not one here: NaN, Infinity, thousands of digits."""

    text: str


def new_decoder() -> json.JSONDecoder:
    """A decoder that makes Pairs and Tokens."""
    return json.JSONDecoder(object_pairs_hook=Pairs, parse_constant=Token, parse_int=_integer)


def kind_of(value: object) -> str:
    """What a JSON value is, for a sentence."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, Pairs):
        return "an object"
    if isinstance(value, list):
        return "an array"
    return value.text if isinstance(value, Token) else "a number"


def place_of(parent: str, key: str) -> str:
    """`parent.key`, or `parent["odd key"]` when the key is no plain word."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", key, re.ASCII):
        return f"{parent}.{key}" if parent else key
    return f"{parent}[{shown(key)}]"


def _integer(digits: str) -> int | Token:
    """int() of a bounded number of digits: converting many takes quadratic time."""
    return int(digits) if len(digits) <= _MAX_DIGITS else Token(f"{digits[:20]}...")
