"""`manage.py doctor`: is this machine, and are these settings, fit for many clients?"""

from __future__ import annotations

import resource
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connections

from dashboard.doctor import machine, redis_server, site, store
from dashboard.doctor.finding import Finding

HELP = """\
Looks at everything that a Pulseboard with many clients stumbles over, and says one line on each:

  ok     as it should be
  warn   it works, but not as well as it should, or not for long
  fail   it does not work, or is not safe

Every warn and fail ends with what to do. It asks the kernel (open files, waiting connections,
clock), the data folder and its disk, the database, Redis if REDIS_URL is set, the certificate if
TLS_CERT is set, the server if one runs, and compares the settings with each other. It changes
nothing, and may run beside the server. Give it the same environment (DATA_DIR, DATABASE_URL,
CONNECTIONS, ...) and the same user as the server: limits belong to both.

  manage.py doctor            every line
  manage.py doctor --quiet    only what is not ok: silence is good news, for cron say

The exit code is 1 when something fails, else 0. docs/deploying.md explains what stands behind it.
"""


class Command(BaseCommand):
    help = HELP
    requires_system_checks = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--quiet", action="store_true", help="only what is not ok")

    def handle(self, *, quiet: bool, **options: Any) -> None:
        failed = False
        try:
            for finding in examine():
                failed = failed or finding.level == "fail"
                if finding.level != "ok" or not quiet:
                    self.stdout.write(f"{finding.level:<5} {finding.subject}: {finding.sentence}")
        finally:
            connections.close_all()
        if failed:
            raise SystemExit(1)


def examine() -> Iterator[Finding]:
    """Everything there is to say, in the order in which it is best read."""
    folder = settings.DATA_DIR
    layer: dict[str, Any] = settings.CHANNEL_LAYERS["default"]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield from machine.packages()
    yield from machine.file_descriptors(settings.CONNECTIONS, soft, hard)
    yield from machine.queue_of_connections()
    yield from machine.clock()
    yield from machine.data_folder(folder)
    yield from machine.free_disk(folder, settings.RESERVE_BYTES)
    yield from store.database(settings.WORKERS)
    if settings.REDIS_URL:
        yield from redis_server.redis(layer["CONFIG"]["hosts"])
    yield from site.debug(settings.DEBUG)
    yield from site.secret_key(folder, settings.SECRET_KEY)
    yield from site.proxies(settings)
    yield from site.certificate(settings.TLS_CERT, settings.TLS_KEY, datetime.now(UTC))
    yield from site.server(folder)
