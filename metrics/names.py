"""Which names and labels may come in (Prometheus's data model, without its UTF-8 extension)."""

from __future__ import annotations

import re
from collections.abc import Mapping

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
NAME_CHARACTERS = 200
LABELS = 30
LABEL_VALUE_CHARACTERS = 1024


def check_metric(name: str) -> None:
    """Raises ValueError(sentence) when `name` cannot be a metric's name."""
    if not METRIC_NAME.fullmatch(name) or len(name) > NAME_CHARACTERS:
        raise ValueError(
            f"{shown(name)} is not a metric name: expected letters, digits, _ and :, not "
            f"beginning with a digit, at most {NAME_CHARACTERS} characters"
        )


def check_labels(labels: Mapping[str, str]) -> None:
    """Raises LabelError when a label's name or value cannot be taken."""
    if len(labels) > LABELS:
        raise LabelError("", f"{len(labels)} labels: expected at most {LABELS}")
    for name, value in labels.items():
        _check_name(name)
        _check_value(name, value)


class LabelError(ValueError):
    """`name` is the label it is about (empty: all of them); str() is the sentence."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.name = name


def _check_name(name: str) -> None:
    if not LABEL_NAME.fullmatch(name) or len(name) > NAME_CHARACTERS:
        raise LabelError(
            name,
            f"{shown(name)} is not a label name: expected letters, digits and _, not beginning "
            f"with a digit, at most {NAME_CHARACTERS} characters",
        )
    if name.startswith("__"):
        raise LabelError(name, f"{shown(name)}: names beginning with __ are reserved")


def _check_value(name: str, value: str) -> None:
    if not isinstance(value, str):
        raise LabelError(name, f"expected a string, got {type(value).__name__}")
    if len(value) > LABEL_VALUE_CHARACTERS:
        raise LabelError(
            name, f"{len(value)} characters long: expected at most {LABEL_VALUE_CHARACTERS}"
        )
    reason = unclean(value)
    if reason:
        raise LabelError(name, reason)


def unclean(text: str, *, lines: bool = False) -> str:
    """Why `text` cannot be stored and shown everywhere, or an empty string.

    `lines` allows line breaks and tabs.
    """
    if text.isprintable():
        return ""
    for character in text:
        if "\ud800" <= character <= "\udfff":
            return "holds a lone surrogate (half a character): expected valid Unicode"
        control = character < " " or "\x7f" <= character <= "\x9f"
        if control and not (lines and character in "\n\t\r"):
            return f"holds the control character U+{ord(character):04X}: expected plain text"
    return ""


def shown(text: str) -> str:
    """`text` quoted for an error sentence: short, printable, without lone surrogates."""
    short = text if len(text) <= 60 else text[:57] + "..."
    return ascii(short) if unclean(short) else repr(short)
