"""manage.py token <name>: makes a token and prints it, once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metrics import access
from metrics.management.process import database_in_words
from metrics.models import Source

NAME_CHARACTERS = 100


class Command(BaseCommand):
    help = "Makes a token for a publisher or a reader and prints only the token. It is kept hashed."
    requires_system_checks: list[str] = []  # they would take a third of its time

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="whose token it is; shown in the admin")
        parser.add_argument(
            "--scope",
            choices=Source.Scope.values,
            default=Source.Scope.PUBLISH.value,
            help="what it may do (default: publish)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"].strip()
        if not name or len(name) > NAME_CHARACTERS or not name.isprintable():
            raise CommandError(
                f"A token's name is 1 to {NAME_CHARACTERS} printable characters long."
            )
        try:
            with database_in_words():
                _, plain = access.make_token(name, options["scope"])
        except access.NameTaken as taken:
            raise CommandError(str(taken)) from None
        self.stdout.write(plain)
