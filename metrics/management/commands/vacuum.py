"""manage.py vacuum: gives the disk space of deleted data back."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from metrics import sizes, vacuum
from metrics.management.process import database_in_words

MEGABYTE = 1_000_000


class Command(BaseCommand):
    help = """Gives the disk space of deleted data back.

SQLite: writes the whole file anew. Needed once for a database that was made
before Pulseboard could shrink it bit by bit; afterwards that happens by itself.
PostgreSQL: tidies the tables, which autovacuum does by itself too; with --full
it writes them anew, which alone makes their files smaller.

Publishing and reading wait while files are written anew, and for that time as
much disk again is needed as the data take."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keeps the line breaks of the help."""
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--full", action="store_true", help="PostgreSQL: write tables anew")

    def handle(self, *, full: bool, **options: Any) -> None:
        before, _ = sizes.database_file_bytes()
        with database_in_words("Nothing was changed."):
            vacuum.rewrite(full)
        after, _ = sizes.database_file_bytes()
        self.stdout.write(f"{before / MEGABYTE:,.1f} MB before, {after / MEGABYTE:,.1f} MB now.")
