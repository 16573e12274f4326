"""`manage.py serve`: the site, the live sockets and the background jobs in one process."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from dashboard.environment import own_names

HELP = """\
Start Pulseboard: the pages, the live sockets and the background jobs, in one process.

It makes what is missing (data folder, database, first admin), prints one link as soon as it
answers, and runs until Ctrl-C or SIGTERM. Open browsers are told to come back, and do so by
themselves at the next start.

  manage.py serve                           for this machine only, http://127.0.0.1:8000
  manage.py serve --port 9000               another port; 0 takes a free one
  manage.py serve --host 0.0.0.0            for the network too
  manage.py serve --no-collect              without measuring this machine
  manage.py serve --no-jobs                 without any background job (they run elsewhere)

HOST, PORT and DATA_DIR in the environment say the same; the options here win.
"""


def port_number(text: str) -> int:
    """An argparse type for TCP ports."""
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: expected 0 to 65535.")
    return int(text)


class Command(BaseCommand):
    """Prepare, then hand over to `dashboard.server`."""

    help = HELP
    requires_system_checks = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", help="address to listen on (now: %(default)s)")
        parser.add_argument("--port", type=port_number, help="port to listen on (now: %(default)s)")
        parser.add_argument(
            "--no-jobs", action="store_true", help="run no background job, not even the collector"
        )
        parser.add_argument("--no-collect", action="store_true", help="do not measure this machine")
        parser.add_argument("--workers", type=int, help="for a later release; one process for now")
        parser.set_defaults(host=settings.HOST, port=settings.PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"] not in (None, 1):
            leave(
                "serve runs one process for now: several workers come with a later release. "
                "Leave --workers out."
            )
        with suppress(KeyboardInterrupt):  # before the server takes the signal over
            self.serve(options)
        self.stdout.write("Stopped.")

    def serve(self, options: dict[str, Any]) -> None:
        """Everything from the bound port to the last goodbye."""
        from dashboard import listener as listening
        from dashboard import server

        try:
            listener = listening.listen(options["host"], options["port"])
        except listening.CannotListen as error:
            leave(str(error))
        use_address(options["host"], listener.getsockname()[1])
        with listener:
            check_data_folder(Path(settings.DATA_DIR))
            link = prepare_database(listening.url_of(listener))

            def background() -> AbstractAsyncContextManager[Any]:
                from dashboard.background import background as run_jobs

                return run_jobs(
                    jobs=not options["no_jobs"],
                    collect=not (options["no_jobs"] or options["no_collect"]),
                )

            from dashboard.asgi import application

            server.run(
                application,
                listener,
                background=background,
                on_ready=lambda: self.announce(link),
                trusted_proxies=split(settings.TRUSTED_PROXIES),
            )

    def announce(self, link: str) -> None:
        """The one line on standard output that people and scripts wait for."""
        self.stdout.write(f"Pulseboard is running: {link}")
        self.stdout.flush()


def use_address(host: str, port: int) -> None:
    """Make settings say where we really listen, also when options or port 0 chose it."""
    if sorted(settings.ALLOWED_HOSTS) == own_names(settings.HOST):  # nobody set it
        settings.ALLOWED_HOSTS = own_names(host)
    settings.HOST, settings.PORT = host, port


def leave(sentence: str) -> NoReturn:
    """End the command with one sentence on standard error and exit code 1."""
    raise SystemExit(sentence)


def split(names: str) -> list[str]:
    """The parts of a list that is written with commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


def check_data_folder(folder: Path) -> None:
    """Make the data folder and write into it; leaves with a sentence when that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
    except OSError as error:
        leave(
            f"The data folder {folder} cannot be used ({error.strerror}): make it writable for "
            "this user, or name another one: make run DATA_DIR=/path/to/folder"
        )


def prepare_database(base_url: str) -> str:
    """Bring the database up to date; returns the link to print."""
    from dashboard.signin import link_for_start

    try:
        if has_unapplied_migrations():
            call_command("migrate", interactive=False, verbosity=0)
        return link_for_start(base_url)
    except DatabaseError as error:
        name = settings.DATABASES[DEFAULT_DB_ALIAS]["NAME"]
        leave(f"The database {name} cannot be used: {str(error).strip()}.")
    finally:
        connections.close_all()  # the server's threads open their own


def has_unapplied_migrations() -> bool:
    """Whether `migrate` has something to do."""
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
