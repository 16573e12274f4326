"""manage.py signin: prints a fresh link that signs somebody in once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard import running, signin
from metrics.management.process import database_in_words

EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - never bound


class Command(BaseCommand):
    help = "Prints a link that signs one person in, once, within 24 hours."
    requires_system_checks: list[str] = []  # they would take a third of its time

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", nargs="?", help="whom it signs in (default: the first admin)")
        parser.add_argument(
            "--base-url", help="where the site is reached, such as https://metrics.example.org"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        base_url = options["base_url"] or _own_url()
        name = options["user"]
        with database_in_words():
            user = _active_user(name) if name else signin.ensure_first_admin()
            link = signin.make_link(user)
        self.stdout.write(base_url.rstrip("/") + signin.link_path(link))


def _active_user(name: str) -> User:
    user = User.objects.filter(username=name).first()
    if user is None:
        raise CommandError(f"There is no user {name!r}: make one in the admin first.")
    if not user.is_active:
        raise CommandError(f"The account {name!r} is not active: change that in the admin first.")
    return user


def _own_url() -> str:
    """Where the server runs that uses this data folder; when there is none, where `serve` would
    listen with these settings."""
    found = running.find(settings.DATA_DIR)
    if found is not None:
        return found.url
    scheme = "https" if settings.TLS_CERT else "http"
    host = EVERY_ADDRESS.get(settings.HOST, settings.HOST)
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{settings.PORT}"
