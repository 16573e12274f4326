"""Checks of the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psutil
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from dashboard.doctor.finding import Finding, fail, ok, warn
from dashboard.doctor.machine import numbers
from metrics.clock import now_ms

LEAST_SQLITE = "3.35"
LEAST_POSTGRESQL = 140_000
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "glusterfs"}
CLOCKS_APART_MS = 1000
CONNECTIONS_A_PROCESS = 12  # threads of pages, log, tail, readers, jobs


def database(workers: int) -> Iterator[Finding]:
    """Whether the database answers, has its tables, and keeps what it says it keeps."""
    if connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists():
        yield warn(
            "database",
            f"{connection.settings_dict['NAME']} is not there yet: manage.py serve makes it.",
        )
        return
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            yield fail(
                "database",
                f"{len(missing)} migrations are missing: manage.py migrate (serve does it too).",
            )
        else:
            yield ok("database", f"{connection.display_name} answers and has its tables.")
        if connection.vendor == "sqlite":
            yield from sqlite(Path(connection.settings_dict["NAME"]))
        else:
            yield from postgresql(workers)
    except DatabaseError as error:
        connection.close()
        yield fail(
            "database",
            f"{connection.settings_dict['NAME']} does not answer "
            f"({' '.join(str(error).split())}): see DATABASE_URL, and that it runs.",
        )


def sqlite(path: Path) -> Iterator[Finding]:
    """Its version, and that its file is on a disk that can lock."""
    if numbers(sqlite3.sqlite_version) < numbers(LEAST_SQLITE):
        yield fail(
            "SQLite",
            f"version {sqlite3.sqlite_version}: {LEAST_SQLITE} is needed. Use a newer Python.",
        )
    system = file_system(path)
    if system in NETWORK_FILE_SYSTEMS:
        yield fail(
            "SQLite",
            f"{path} is on a network file system ({system}), which cannot lock it safely: put "
            "DATA_DIR on a local disk, or use PostgreSQL (DATABASE_URL).",
        )


def file_system(path: Path) -> str:
    """The type of the file system that holds a path; empty when nobody knows."""
    mounts = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    found = (mounts[one] for one in (path, *path.parents) if one in mounts)
    return next(found, "")


def postgresql(workers: int) -> Iterator[Finding]:
    """Whether commits are durable, there are connections enough, and clocks agree."""
    shown = {name: setting(name) for name in ("fsync", "synchronous_commit", "max_connections")}
    if int(setting("server_version_num")) < LEAST_POSTGRESQL:
        yield fail("PostgreSQL", "version 14 or newer is needed: upgrade it.")
    if shown["fsync"] != "on" or shown["synchronous_commit"] == "off":
        yield fail(
            "PostgreSQL",
            f"fsync={shown['fsync']}, synchronous_commit={shown['synchronous_commit']}: what was "
            "answered 'stored' may be lost. Set both to on.",
        )
    needed = CONNECTIONS_A_PROCESS * workers
    if int(shown["max_connections"]) < needed:
        yield warn(
            "PostgreSQL",
            f"max_connections={shown['max_connections']}, and {workers} processes may need "
            f"{needed}: raise it.",
        )
    with connection.cursor() as cursor:
        began_ms = now_ms()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp()) * 1000")
        theirs_ms = float(cursor.fetchone()[0])
    apart_ms = max(began_ms - theirs_ms, theirs_ms - now_ms(), 0)
    if apart_ms > CLOCKS_APART_MS:
        yield warn(
            "clock",
            f"the database's clock and this machine's are {apart_ms / 1000:.1f} s apart: start an "
            "NTP client on both.",
        )


def setting(name: str) -> str:
    """A setting of PostgreSQL, as it is for this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s)", [name])
        return str(cursor.fetchone()[0])
