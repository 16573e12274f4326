"""Times as people write them -> ms since 1970."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from metrics.intake import FUTURE_MS, OLDEST_MS
from metrics.moving.trouble import CannotMove
from metrics.names import shown

_NUMBER = re.compile(r"[0-9]{1,19}(\.[0-9]{1,12})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HALF_MS = timedelta(microseconds=500)
_MS = timedelta(milliseconds=1)
_DIGITS = 18
_SCALE = 1_000_000_000_000_000_000
UNITS_PER_S = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
FORMATS = ("auto", *UNITS_PER_S, "iso")
# Later than 2000 and before 5138 in each unit, so a number says by its size which one it is.
_LEAST_BY_UNIT = ((10**17, "ns"), (10**14, "us"), (10**11, "ms"), (0, "s"))


class TimeReader:
    """Reads times of one format: a name of FORMATS, or a pattern such as %d.%m.%Y %H:%M.

    `zone` is meant where a time names none. Times are to lie between the year 2000 and ten
    minutes after `now_ms`, as everywhere here. Raises CannotMove for a format that is none.
    """

    def __init__(self, format: str, zone: tzinfo, now_ms: int) -> None:
        self._zone = zone
        self._format = format
        self._now_ms = now_ms
        self._latest_ms = now_ms + FUTURE_MS
        if format == "auto":
            self._read: Callable[[str], int] = self._anything
        elif format == "iso":
            self._read = self._iso
        elif format in UNITS_PER_S:
            self._read = self._number
        elif "%" in format:
            self._read = self._pattern
        else:
            raise CannotMove(
                f"{shown(format)} is not a time format: expected {', '.join(FORMATS)}, or a "
                "pattern such as %d.%m.%Y %H:%M."
            )

    def __call__(self, text: str) -> int:
        """Raises ValueError with a sentence."""
        try:
            at_ms = self._read(text)
        except OverflowError:
            raise ValueError(f"{shown(text)} is not a time of our age") from None
        if not OLDEST_MS <= at_ms <= self._latest_ms:
            raise ValueError(self._absurd(text, at_ms))
        return at_ms

    def _anything(self, text: str) -> int:
        if _NUMBER.fullmatch(text):
            number = float(text)
            return _to_ms(text, next(unit for least, unit in _LEAST_BY_UNIT if number >= least))
        return self._iso(text)

    def _number(self, text: str) -> int:
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"{shown(text)} is not a time in {self._format} since 1970")
        return _to_ms(text, self._format)

    def _iso(self, text: str) -> int:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            hint = "" if self._format == "iso" else " (see --time-format)"
            raise ValueError(
                f"{shown(text)} is not a time: expected such as 2026-11-20 13:00:01 or a number "
                f"of seconds or ms since 1970{hint}"
            ) from None
        return self._at(moment)

    def _pattern(self, text: str) -> int:
        try:
            moment = datetime.strptime(text, self._format)
        except ValueError:
            raise ValueError(f"{shown(text)} is not a time of the form {self._format}") from None
        return self._at(moment)

    def _at(self, moment: datetime) -> int:
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
        return (moment - _EPOCH + _HALF_MS) // _MS

    def _absurd(self, text: str, at_ms: int) -> str:
        if at_ms > self._now_ms:
            return f"the time {shown(text)} lies more than 10 minutes in the future"
        return f"the time {shown(text)} lies before the year 2000 (see --time-format)"


def _to_ms(text: str, unit: str) -> int:
    whole, _, fraction = text.partition(".")
    # Exact: a float of seconds, or of ns, is not.
    number = int(whole) * _SCALE + int(fraction.ljust(_DIGITS, "0") or 0)
    per_ms = _SCALE * UNITS_PER_S[unit] // 1000
    return (number + per_ms // 2) // per_ms


def zone(name: str) -> tzinfo:
    """A time zone by its name. Raises CannotMove."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CannotMove(
            f"{shown(name)} is not a time zone: expected such as UTC or Europe/Berlin."
        ) from None
