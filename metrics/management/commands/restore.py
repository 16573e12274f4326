"""manage.py restore: a backup into this site's database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from metrics.moving import restore
from metrics.moving.command import MovingCommand


class Command(MovingCommand):
    help = (
        "Puts a backup into this site's database (DATABASE_URL, or SQLite in DATA_DIR), which has "
        "to be new or empty: nothing is overwritten unless --replace says so. The backup is "
        "checked first; all of it is restored or nothing. One of an older Pulseboard is brought up "
        "to date. SQLite or PostgreSQL, whichever the backup was made from. Stop the server first; "
        "everybody has to sign in again."
    )
    examples = """
examples:
  manage.py restore monday.pulseboard
  DATA_DIR=/srv/trial manage.py restore monday.pulseboard        beside the site, to look at
  DATABASE_URL=postgresql://me@db/pulseboard manage.py restore monday.pulseboard
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="a file made by manage.py backup")
        parser.add_argument(
            "--replace",
            action="store_true",
            help="give up what the database holds now",
        )

    def do(self, options: dict[str, Any]) -> None:
        said = restore.restore(
            options["path"], replace=options["replace"], stream=self.progress(options)
        )
        self.stdout.write(f"Restored {said.rows:,} rows of {len(said.tables)} tables")
