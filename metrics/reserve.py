"""A reserve of disk: publishing stops before the disk is full.

What is left is for the jobs: sealing and retention need some room to make more. On PostgreSQL the
disk is the server's, which says itself when it is full.
"""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from django.conf import settings
from django.db import Error, connection

from metrics.refused import Refused

logger = logging.getLogger(__name__)

LOOK_S = 1.0
DISK_SHARE = 4  # a quarter of the reserve must be free on the disk itself

_looked_s = float("-inf")
_short = False


def check() -> None:
    """Raises Refused(507) while less than RESERVE_BYTES are free; looks once a second."""
    global _looked_s, _short
    now_s = time.monotonic()
    if now_s - _looked_s >= LOOK_S:
        _looked_s = now_s
        before, _short = _short, is_short()
        if _short and not before:
            logger.error("less than %s is free: publishing is refused", _reserve())
        elif before and not _short:
            logger.warning("more than %s is free again: publishing goes on", _reserve())
    if _short:
        raise Refused(507, "", f"less than {_reserve()} of disk is free: nothing was stored")


def is_short() -> bool:
    """Whether less than the reserve is left for the database, asked now.

    Free pages inside its file count too, but not for all: its write-ahead log needs some disk.
    """
    wanted: int = settings.RESERVE_BYTES
    if connection.vendor != "sqlite" or not wanted:
        return False
    try:
        free = shutil.disk_usage(Path(connection.settings_dict["NAME"]).parent).free
        return free < wanted // DISK_SHARE or (free < wanted and free + _free_in_file() < wanted)
    except (OSError, Error):  # no folder, as for a database in memory; or writing will say it
        return False


def _free_in_file() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size"
        )
        return int(cursor.fetchone()[0])


def forget() -> None:
    """The next check() looks."""
    global _looked_s, _short
    _looked_s, _short = float("-inf"), False


def _reserve() -> str:
    return f"{settings.RESERVE_BYTES / (1 << 20):,.0f} MiB"
