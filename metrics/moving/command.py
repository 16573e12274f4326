"""What the commands of this package share: help with examples, progress, refusals."""

from __future__ import annotations

import argparse
from typing import Any, TextIO, cast

from django.core.management.base import (  # fmt: skip
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
    OutputWrapper,
)

from metrics.management.process import database_in_words
from metrics.moving.progress import Stream
from metrics.moving.trouble import CannotMove


class _Help(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Examples keep their lines."""


class MovingCommand(BaseCommand):
    """A command whose help ends with `examples`, and that fails with one sentence."""

    examples = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs.setdefault("epilog", self.examples.strip("\n"))
        kwargs.setdefault("formatter_class", _Help)
        return super().create_parser(prog_name, subcommand, **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with database_in_words():
                self.do(options)
        except CannotMove as error:
            raise CommandError(str(error)) from None

    def do(self, options: dict[str, Any]) -> None:
        """The work. May raise CannotMove."""
        raise NotImplementedError

    def progress(self, options: dict[str, Any]) -> Stream | None:
        """Where progress goes: standard error, so that it never mixes with data."""
        if options["verbosity"] == 0:
            return None
        return OutputWrapper(cast(TextIO, self.stderr._out), ending="")
