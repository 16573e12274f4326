"""The store on either database, and other processes that use it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import psycopg
from django.db import connection, connections

from dashboard.environment import postgresql
from tests.support.environment import ROOT

PROGRAM_S = 60.0
SETUP = "import django; django.setup()\n"


@contextmanager
def default_database(url: str) -> Iterator[None]:
    """Points Django at a PostgreSQL database; threads that start meanwhile see it too."""
    before = connections.settings["default"]
    connections["default"].close()
    del connections["default"]
    connections.settings["default"] = connections.configure_settings({"default": postgresql(url)})[
        "default"
    ]
    try:
        yield
    finally:
        connections["default"].close()
        del connections["default"]
        connections.settings["default"] = before


def rows(url: str, question: str) -> list[tuple[Any, ...]]:
    """What the database with this URL answers, asked from outside of Django."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite://"))) as file:
            return file.execute(question).fetchall()
    with psycopg.connect(url) as server:
        return server.execute(question.encode()).fetchall()


def add_token(url: str, name: str, scope: str) -> str:
    """A new token in the database with this URL, as `manage.py token` makes it but without a
    process of its own, of which the tests need hundreds."""
    from metrics import access
    from metrics.models import Source

    source = Source(name=name, scope=scope)
    plain = access.set_token(source)
    fields = [field for field in Source._meta.concrete_fields if not field.primary_key]
    columns = ", ".join(str(field.column) for field in fields)
    values = [field.pre_save(source, add=True) for field in fields]
    insert = f"INSERT INTO {Source._meta.db_table} ({columns}) VALUES ({{}})"
    if url.startswith("sqlite"):
        plainly = [str(one) if isinstance(one, datetime) else one for one in values]
        with closing(sqlite3.connect(url.removeprefix("sqlite://"), PROGRAM_S)) as file, file:
            file.execute(insert.format(", ".join("?" for _ in fields)), plainly)
    else:
        with psycopg.connect(url) as server:
            server.execute(insert.format(", ".join("%s" for _ in fields)).encode(), values)
    return plain


@contextmanager
def rolled_back_savepoint() -> Iterator[None]:
    """What is done in the block is undone by SQL, of which Django's hooks know nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT mine")
        yield
        cursor.execute("ROLLBACK TO SAVEPOINT mine")


@contextmanager
def log_held(url: str) -> Iterator[None]:
    """Nobody else can write to the log meanwhile."""
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite://")
        holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            holder.close()
        return
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE metrics_batch IN EXCLUSIVE MODE")
        yield


class Program:
    """Python code in a process of its own, on the database with this URL.

    It begins when go() is called, so that several begin together.
    """

    def __init__(self, url: str, code: str, *arguments: object, **variables: str) -> None:
        self.errors = ""  # what it logged, once it has ended
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                SETUP + "print('ready', flush=True); input()\n" + code,
                *map(str, arguments),
            ],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # communicate() would forget what readline() has read ahead
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def started(self) -> Program:
        """Waits until it can begin."""
        if self.line() != "ready\n":
            self.finish()
        return self

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode()

    def go(self) -> Program:
        """Lets it begin, or go on from where it waits for input."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return self

    def finish(self, status: int = 0, within_s: float = PROGRAM_S) -> str:
        """Waits for its end; what it printed."""
        out, errors = self._process.communicate(timeout=within_s)
        self.errors = errors.decode()
        assert self._process.returncode == status, f"{self._process.returncode}: {self.errors}"
        return out.decode()


def run_together(programs: list[Program]) -> list[str]:
    """Lets them run at the same time; what each printed."""
    for program in programs:
        program.started()
    for program in programs:
        program.go()
    return [program.finish() for program in programs]
