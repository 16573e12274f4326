"""Moments and lengths of time as people write them in commands and addresses."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from metrics.moving.times import TimeReader
from metrics.moving.trouble import CannotMove
from metrics.names import shown

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_LENGTH = re.compile(r"([0-9]{1,9})(ms|s|m|h|d|w)", re.ASCII)


def length_ms(text: str, what: str) -> int:
    """30s, 15m, 24h, 7d. Raises CannotMove, naming `what`."""
    found = _LENGTH.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise CannotMove(f"{what}: {shown(text)} is no length of time: expected such as 30s or 7d.")
    return int(found[1]) * UNITS_MS[found[2]]


def moment_ms(text: str, what: str, now_ms: int) -> int:
    """now, 24h (ago), a number of s or ms since 1970, or ISO (UTC where it names no zone).

    Raises CannotMove, naming `what`.
    """
    if text == "now":
        return now_ms
    ago = _LENGTH.fullmatch(text.removeprefix("-"))
    if ago is not None:
        return max(0, now_ms - length_ms(ago[0], what))
    try:
        return TimeReader("auto", UTC, now_ms)(text)
    except ValueError as error:
        raise CannotMove(f"{what}: {error}; now and 24h (ago) are understood too.") from None


def file_name(text: str, start_ms: int, suffix: str) -> str:
    """A name for a file about `text`, of letters, digits, _ and - only."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:80].rstrip("_-")
    day = f"-{datetime.fromtimestamp(start_ms / 1000, UTC):%Y%m%d}" if start_ms else ""
    return f"{plain or 'export'}{day}.{suffix}"
