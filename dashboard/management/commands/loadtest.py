"""manage.py loadtest: many clients on a running server, and how it bears them."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
)
from django.db import DatabaseError

from dashboard import server
from dashboard.loadtest import printed, session, wire
from dashboard.loadtest.plan import CannotTest, Plan, allow_files, check_reachable, target
from metrics import access
from metrics.models import Source

MOST_TOKENS = 1000
EXAMPLES = """
examples:
  manage.py loadtest                                    100 clients, 12 series, 10 updates a second
  manage.py loadtest --sockets 5000 --rate 2            many clients, few updates
  manage.py loadtest --slow 0.1 --stuck 0.1             a tenth reads slowly, a tenth not at all
  manage.py loadtest --churn 50 --seconds 60            50 clients a second leave and come back
  manage.py loadtest --series 1000 --watches 10         10 panels of 100 series on every client
  manage.py loadtest --form json --json > figures.json  the JSON form; the figures for a program

another machine's server (its tokens come from manage.py token there):
  manage.py loadtest --url https://metrics.example.org --token pb_... --publish-token pb_...
  manage.py loadtest --url https://metrics.example.org --token pb_... --no-publish --expr up

What it publishes is the time of sending, so that every client sees how late it is. Status 1: a
client that reads lacked the newest value, a frame, or got one out of order. Without --token it
makes tokens in this site's database and deletes them at the end; the metric "loadtest" stays until
manage.py forget loadtest.
"""


class _Help(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Examples keep their lines."""


class Command(BaseCommand):
    help = (
        "Opens many live sockets on a running server, publishes to it, and prints how late the "
        "updates were, what was lost, and the server's memory. Not for a server that people use: "
        "it takes all it can get."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs.update(epilog=EXAMPLES.strip("\n"), formatter_class=_Help)
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        own = f"http://127.0.0.1:{settings.PORT}"
        add("--url", default=own, help=f"the server (default: {own}, this site's)")
        add("--sockets", type=_count, default=100, help="clients (default: 100)")
        add("--series", type=_count, default=12, help="series published (default: 12)")
        add("--watches", type=_count, default=1, metavar="PANELS",
            help="panels that share the series; every client watches all (default: 1)")  # fmt: skip
        add("--rate", type=_positive, default=10.0,
            help="updates of every series a second (default: 10)")  # fmt: skip
        add("--slow", type=_share, default=0.0, metavar="SHARE",
            help="of clients that read once a second (0 to 1)")  # fmt: skip
        add("--stuck", type=_share, default=0.0, metavar="SHARE",
            help="of clients that read nothing once they are connected (0 to 1)")  # fmt: skip
        add("--churn", type=_positive_or_none, default=0.0, metavar="RATE",
            help="clients that leave and come back each second (default: 0)")  # fmt: skip
        add("--seconds", type=_positive, default=10.0, help="how long (default: 10)")
        add("--form", choices=sorted(wire.FORMS), default="binary",
            help="of the frames (default: binary, as browsers get them)")  # fmt: skip
        add("--token", action="append", default=[], metavar="TOKEN",
            help="with scope read; several are used in turn")  # fmt: skip
        add("--publish-token", default="", metavar="TOKEN", help="with scope publish")
        add("--no-publish", action="store_true", help="somebody else publishes")
        add(
            "--expr",
            default="",
            metavar="PROMQL",
            help="what to watch with --no-publish (default: what other loadtests publish)",
        )
        add("--json", action="store_true", help="the figures as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        say = self.stderr._out.write  # type: ignore[attr-defined]  # without the red of errors
        try:
            plan = _plan(options)
            check_reachable(plan.target)
            allow_files(plan.sockets)
            with _tokens(options, plan) as (read, publish):
                found = _run(plan, read, publish, lambda line: say(f"{line}\n"))
        except CannotTest as refused:
            raise CommandError(str(refused)) from None
        except DatabaseError as error:
            raise CommandError(
                f"No token can be made in this site's database ({str(error).strip()}): run "
                "manage.py migrate, or give --token and --publish-token"
            ) from None
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=1))
        else:
            for line in printed.lines(found):
                self.stdout.write(line)
        if not printed.is_whole(found):
            sys.exit(1)


def _plan(options: dict[str, Any]) -> Plan:
    if options["expr"] and not options["no_publish"]:
        raise CannotTest("--expr is for --no-publish: without that its own series are watched")
    if options["slow"] + options["stuck"] > 1:
        raise CannotTest("--slow and --stuck are shares of all sockets: together at most 1")
    if options["watches"] > options["series"]:
        raise CannotTest("every panel needs a series: ask for at least as many --series")
    return Plan(
        target(options["url"]),
        options["sockets"],
        options["series"],
        options["watches"],
        options["rate"],
        options["slow"],
        options["stuck"],
        options["churn"],
        options["seconds"],
        wire.FORMS[options["form"]],
        secrets.token_hex(4),
        (options["expr"] or "loadtest") if options["no_publish"] else "",
    )


@contextmanager
def _tokens(options: dict[str, Any], plan: Plan) -> Iterator[tuple[list[str], str]]:
    """Those given, or new ones of this site's database, which go at the end."""
    read, publish = list(options["token"]), options["publish_token"]
    made: list[Source] = []

    def make(scope: str, number: int) -> str:
        source, plain = access.make_token(f"loadtest {plan.run} {scope} {number}", scope)
        made.append(source)
        return plain

    try:
        if not read:
            # One more than needed: one that is leaving still counts as one that is there.
            count = plan.sockets // settings.CONNECTIONS_PER_USER + 1 + bool(plan.churn)
            read = [make("read", number) for number in range(min(count, MOST_TOKENS))]
        if not publish and not options["no_publish"]:
            publish = make("publish", 0)
        yield read, "" if options["no_publish"] else publish
    finally:
        for source in made:
            source.delete()


def _run(plan: Plan, read: list[str], publish: str, say: Callable[[str], None]) -> dict[str, Any]:
    with asyncio.Runner(loop_factory=server.fast_loop()) as runner:
        return runner.run(session.run(plan, read, publish, say))


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def _positive_or_none(text: str) -> float:
    return float(text) if float(text) == 0 else _positive(text)


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to 1")
    return number
