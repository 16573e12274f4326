"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: how it is, about what, and (unless it is ok) what to do."""

    level: Level
    subject: str
    sentence: str


def ok(subject: str, sentence: str) -> Finding:
    return Finding("ok", subject, sentence)


def warn(subject: str, sentence: str) -> Finding:
    """It works, but not as well as it should, or not for long."""
    return Finding("warn", subject, sentence)


def fail(subject: str, sentence: str) -> Finding:
    """It does not work, or is not safe."""
    return Finding("fail", subject, sentence)


def bytes_text(size: float) -> str:
    """Such as 64 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}"
        size /= 1024
    return f"{size:,.0f} TiB"
