"""`manage.py serve`: the site, the live sockets and the background jobs, in one process or some."""

from __future__ import annotations

import argparse
import asyncio
import atexit
import ssl
import sys
import tempfile
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from dashboard.child import Assignment, Leash, die_with
from dashboard.environment import own_names

if TYPE_CHECKING:
    from dashboard.background import Roles

HELP = """\
Start Pulseboard: the pages, the live sockets and the background jobs.

It makes what is missing (data folder, database, first admin), prints one link as soon as it
answers, and runs until Ctrl-C or SIGTERM. Open browsers are told to come back, and do so by
themselves at the next start.

  manage.py serve                           for this machine only, http://127.0.0.1:8000
  manage.py serve --port 9000               another port; 0 takes a free one
  manage.py serve --host 0.0.0.0            for the network too
  manage.py serve --workers 4               four processes on one port, one a processor, say;
                                            SIGHUP restarts them one by one, losing nothing
  manage.py serve --no-collect              without measuring this machine
  manage.py serve --no-jobs                 without any background job (they run elsewhere)

HOST, PORT, WORKERS and DATA_DIR in the environment say the same; the options here win. TLS_CERT
and TLS_KEY name files for HTTPS without a proxy. manage.py doctor tells whether this machine is
ready for many clients.
"""
MOST_WORKERS = 256


def port_number(text: str) -> int:
    """An argparse type for TCP ports."""
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: expected 0 to 65535.")
    return int(text)


def worker_count(text: str) -> int:
    """An argparse type for numbers of processes."""
    if not text.isdigit() or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 1 to {MOST_WORKERS} processes.")
    return int(text)


class Command(BaseCommand):
    """Prepare, then hand over to `dashboard.server` or `dashboard.supervisor`."""

    help = HELP
    requires_system_checks = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", help="address to listen on (now: %(default)s)")
        parser.add_argument("--port", type=port_number, help="port to listen on (now: %(default)s)")
        parser.add_argument(
            "--workers", type=worker_count, help="serving processes (now: %(default)s)"
        )
        parser.add_argument(
            "--no-jobs", action="store_true", help="run no background job, not even the collector"
        )
        parser.add_argument("--no-collect", action="store_true", help="do not measure this machine")
        parser.add_argument("--child", type=Assignment.from_json, help=argparse.SUPPRESS)
        parser.set_defaults(host=settings.HOST, port=settings.PORT, workers=settings.WORKERS)

    def run_from_argv(self, argv: list[str]) -> None:
        super().run_from_argv(argv)
        from dashboard.leaving import leave_at_once

        # The process's own hooks first: samples that wait for the database, and other packages'.
        atexit._run_exitfuncs()
        leave_at_once()

    def handle(self, *args: Any, **options: Any) -> None:
        with suppress(KeyboardInterrupt):  # before the server takes the signal over
            if options["child"] is not None:
                serve_as_child(options, options["child"])
                return
            self.serve(options)
        self.stdout.write("Stopped.")

    def serve(self, options: dict[str, Any]) -> None:
        """Everything from the bound port to the last goodbye."""
        from dashboard import listener as listening
        from dashboard import running, systemd

        folder = Path(settings.DATA_DIR)
        tls = encryption()
        try:
            listener = listening.listen(options["host"], options["port"])
        except listening.CannotListen as error:
            leave(str(error))
        use_address(options["host"], listener.getsockname()[1])
        with listener:
            check_data_folder(folder)
            base_url = listening.url_of(listener, "https" if tls else "http")
            link = prepare_database(base_url)

            def ready() -> None:
                running.remember(folder, base_url)
                systemd.notify("READY=1")
                # The one line on standard output that people and scripts wait for.
                self.stdout.write(f"Pulseboard is running: {link}")
                self.stdout.flush()

            try:
                if options["workers"] > 1:
                    supervise(options, listener, ready)
                else:
                    serve_here(listener, roles(options), ready, tls)
            finally:
                running.forget(folder)


def serve_here(listener: Any, given: Roles, on_ready: Any, tls: ssl.SSLContext | None) -> None:
    """Serves in this process until it is told to stop."""
    from dashboard import server
    from dashboard.asgi import application

    def background() -> AbstractAsyncContextManager[Any]:
        from dashboard.background import background as run_jobs

        return run_jobs(given)

    server.run(
        application,
        listener,
        background=background,
        on_ready=on_ready,
        trusted_proxies=split(settings.TRUSTED_PROXIES),
        tls=tls,
        leash=given.leash,
        linger_s=settings.DRAIN_SECONDS,
    )


def supervise(options: dict[str, Any], listener: Any, on_ready: Any) -> None:
    """Serves in several processes until it is told to stop."""
    from dashboard import systemd
    from dashboard.supervisor import StartFailed, Supervisor

    several = Supervisor(
        child_command(options),
        listener,
        options["workers"],
        collect=not (options["no_jobs"] or options["no_collect"]),
        linger_s=settings.DRAIN_SECONDS,
        on_ready=on_ready,
        on_roll=lambda rolling: systemd.notify("RELOADING=1" if rolling else "READY=1"),
    )
    try:
        asyncio.run(several.run())
    except StartFailed as error:
        leave(str(error))


def child_command(options: dict[str, Any]) -> list[str]:
    """How a process of this server is started: anew, so that it runs the code of that moment."""
    flags = [f"--{name}".replace("_", "-") for name in ("no_jobs", "no_collect") if options[name]]
    where = ["--host", settings.HOST, "--port", str(settings.PORT)]
    manage = str(settings.BASE_DIR / "manage.py")
    return [sys.executable, manage, "serve", *where, *flags]


def serve_as_child(options: dict[str, Any], given: Assignment) -> None:
    """Serves in this process, one of several, until its supervisor says stop or dies."""
    from dashboard import listener as listening

    die_with(given.supervisor)
    use_address(options["host"], options["port"])
    listener = listening.adopt(given.listener)
    serve_here(listener, roles(options, given), lambda: None, encryption())


def roles(options: dict[str, Any], given: Assignment | None = None) -> Roles:
    """What this process does beside serving; `given` when it is one of several."""
    from dashboard.background import Roles

    jobs = not options["no_jobs"]
    collect = jobs and not options["no_collect"]
    if given is None:
        return Roles(jobs, collect, settings.PROCESS)
    name = f"{settings.PROCESS}-{given.slot}" if settings.PROCESS else str(given.slot)
    return Roles(jobs, collect, name, given.event, Leash(given.leash))


def encryption() -> ssl.SSLContext | None:
    """What TLS_CERT and TLS_KEY ask for; leaves with a sentence when they cannot be used."""
    from dashboard import tls

    try:
        return tls.context(settings.TLS_CERT, settings.TLS_KEY)
    except tls.CannotEncrypt as error:
        leave(str(error))


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
