"""The one way in which a publisher is told no."""

from __future__ import annotations

import logging
import time

from django.db import Error, InterfaceError, OperationalError

logger = logging.getLogger(__name__)

SAID_AGAIN_S = 10.0  # a publisher may ask a thousand times a second

_said: tuple[str, float] = "", 0.0  # the reason logged last, and when

# How SQLite and PostgreSQL say that the disk is full (SQLite's "I/O error" when it is so full that
# not even its index of the write-ahead log can grow).
_FULL = ("disk is full", "no space left", "disk i/o error", "disk full")

_UNDEFINED_TABLE = "42P01"
NO_TABLES = "the database has no tables yet: start the server once, or run manage.py migrate"


class Refused(Exception):
    """Nothing of the request was stored.

    `status` is the HTTP status that fits, `item` the place in the request
    (`samples[3].labels.region`, empty for the whole), `message` one sentence.
    """

    def __init__(self, status: int, item: str, message: str) -> None:
        super().__init__(f"{item}: {message}" if item else message)
        self.status = status
        self.item = item
        self.message = message


def by_database(error: Error) -> Refused:
    """What to tell a publisher when the database failed: 507, 503 or 500.

    Logs the reason, the same one every SAID_AGAIN_S at most.
    """
    global _said
    text = str(error).lower()
    now_s = time.monotonic()
    if text != _said[0] or now_s - _said[1] >= SAID_AGAIN_S:
        _said = text, now_s
        logger.error("the database failed: %s", error)
    if any(words in text for words in _FULL):
        return Refused(507, "", "the disk of the database is full: nothing was stored")
    if "locked" in text:
        return Refused(
            503, "", "the database is locked by another program: nothing was stored, try again"
        )
    if has_no_tables(error):
        return Refused(503, "", NO_TABLES)
    if isinstance(error, OperationalError | InterfaceError):
        # A connection may be lost while it commits: then nobody knows whether that was stored.
        return Refused(
            503, "", "the database does not answer: try again, with the same Idempotency-Key"
        )
    return Refused(500, "", "the database refused the batch: nothing was stored")


def has_no_tables(error: Error) -> bool:
    """Whether it failed because nobody has migrated this database."""
    sqlstate = getattr(error.__cause__, "sqlstate", None)  # PostgreSQL's
    return sqlstate == _UNDEFINED_TABLE or "no such table" in str(error)
