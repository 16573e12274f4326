"""Writes the files that are made from the live protocol's definition."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dashboard.protocol_files import files


class Command(BaseCommand):
    help = (
        "Writes what is made from dashboard/protocol.py: the JSON Schema, docs/protocol.md, the "
        "browser's constants and types, and the example frames of the tests. Run it after a "
        "change of the protocol and commit what it writes."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; fail when a file is stale."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stale = []
        for name, content in files().items():
            path = settings.BASE_DIR / name
            if path.exists() and path.read_text(encoding="utf-8") == content:
                continue
            stale.append(name)
            if not options["check"]:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
                self.stdout.write(f"wrote {name}")
        if stale and options["check"]:
            raise CommandError(f"stale: {', '.join(stale)}. Run: python manage.py protocol")
