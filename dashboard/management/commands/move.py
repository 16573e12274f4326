"""manage.py move: the whole site into another database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser

from dashboard.environment import Environment
from metrics.moving import databases, transfer
from metrics.moving.command import MovingCommand


class Command(MovingCommand):
    help = (
        "Copies everything from this site's database (DATABASE_URL, or SQLite in DATA_DIR) into "
        "another one, which must be new or empty: from SQLite to PostgreSQL, and back. What is "
        "copied is the moment the command begins: stop the server first, or what is published "
        "meanwhile stays behind (it says so). The new database holds all of it or nothing; counts "
        "and checksums of all tables are compared. The old one is left as it is."
    )
    examples = """
example:
  manage.py move --to postgresql://pulseboard:secret@localhost/pulseboard
  then start with DATABASE_URL set to that
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--to",
            required=True,
            metavar="DATABASE_URL",
            help="postgresql://user:password@host/name or sqlite:////absolute/path",
        )

    def do(self, options: dict[str, Any]) -> None:
        try:
            target = Environment({"--to": options["to"]}).database("--to", Path())
        except (ImproperlyConfigured, ValueError) as error:
            raise CommandError(str(error)) from None
        moved = transfer.move(target, self.progress(options))
        self.stdout.write(
            f"Moved {moved.rows:,} rows of {moved.tables} tables to "
            f"{databases.described(target)}. Start with DATABASE_URL set to it from now on."
        )
        if moved.missed_batches:
            self.stderr.write(
                f"{moved.missed_batches:,} batches were published meanwhile and are only in the "
                "old database: stop the server, empty the new database, and move again."
            )
