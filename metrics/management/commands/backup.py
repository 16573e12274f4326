"""manage.py backup: everything worth keeping in one file, while the site works."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from metrics.moving import backup, backup_file
from metrics.moving.command import MovingCommand
from metrics.moving.progress import Progress


class Command(MovingCommand):
    help = (
        "Writes a backup: one file with all samples, dashboards, accounts and tokens as they are "
        "at this moment. The site goes on working. The file is there once it is whole. "
        "It holds hashes of passwords and of tokens, so keep it as safe as the database; "
        "it does not hold who is signed in, nor sign-in links, nor the secret key "
        "(a file in DATA_DIR)."
    )
    examples = """
examples:
  manage.py backup monday.pulseboard --verify
  manage.py backup nightly.pulseboard --replace --verbosity 0
  manage.py backup monday.pulseboard --verify-only     checks a backup made before
  manage.py restore monday.pulseboard                  see manage.py help restore
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="the file to write")
        parser.add_argument(
            "--replace", action="store_true", help="put it in place of a file that exists"
        )
        parser.add_argument(
            "--verify",
            action="store_true",
            help="read the finished file again: its structure, the count and checksum of every "
            "table, and every sample",
        )
        parser.add_argument(
            "--verify-only", action="store_true", help="make nothing, verify what is there"
        )

    def do(self, options: dict[str, Any]) -> None:
        path = options["path"]
        if not options["verify_only"]:
            made = backup.make(path, replace=options["replace"], stream=self.progress(options))
            self.stdout.write(f"Backed up to {path}: {made.rows:,} rows, {made.size_bytes:,} bytes")
        if options["verify"] or options["verify_only"]:
            self._verify(path, options)

    def _verify(self, path: Path, options: dict[str, Any]) -> None:
        with closing(backup_file.open_to_read(path)) as file:
            said = backup_file.manifest(file)
            progress = Progress(self.progress(options), "Verifying", said.rows)
            backup_file.check(file, progress)
            progress.end()
        made_at = datetime.fromtimestamp(said.made_at_ms / 1000, UTC)
        self.stdout.write(
            f"Verified {path}: {said.rows:,} rows of {len(said.tables)} tables, made "
            f"{made_at:%Y-%m-%d %H:%M:%S} UTC from {said.source}; every sample can be read"
        )
