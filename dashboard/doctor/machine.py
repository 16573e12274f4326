"""Checks of the machine: limits of the kernel, the data folder, its disk, the clock, packages."""

from __future__ import annotations

import ctypes
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dashboard.doctor.finding import Finding, bytes_text, fail, ok, warn
from dashboard.listener import BACKLOG

FILES_BESIDE_SOCKETS = 200  # the database's, the log's, requests of pages and publishers
SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
CLOCK_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
TIMEX_BYTES = 256  # struct timex is smaller everywhere

# As requirements.in says: older ones have holes, or faults that touch us.
LEAST_VERSIONS = {
    "Django": "5.2.17",
    "channels": "4.3.2",
    "channels-redis": "4.3",
    "daphne": "4.2.2",
    "redis": "5.0.1",
    "uvicorn": "0.54",
    "websockets": "17",
    "zstandard": "0.25",
}


def file_descriptors(connections: int, soft: int, hard: int) -> Iterator[Finding]:
    """Whether one process may have so many sockets."""
    needed = connections + FILES_BESIDE_SOCKETS
    if soft < 0 or soft >= needed:
        yield ok("open files", f"a process may have {soft:,}, and needs {needed:,} at most.")
        return
    raising = "LimitNOFILE= in the systemd unit, or ulimit -n"
    if 0 <= hard < needed:
        raising += f" (as root: the hard limit is {hard:,})"
    yield warn(
        "open files",
        f"a process may have {soft:,}; CONNECTIONS={connections} needs {needed:,}. Raise it with "
        f"{raising}, or lower CONNECTIONS to {max(1, soft - FILES_BESIDE_SOCKETS)}.",
    )


def queue_of_connections(path: Path = SOMAXCONN) -> Iterator[Finding]:
    """How many may wait to be accepted when all come back at once."""
    try:
        most = int(path.read_text())
    except (OSError, ValueError):
        return  # not Linux
    if most >= BACKLOG:
        yield ok("somaxconn", f"{most:,} connections may wait to be accepted.")
    else:
        yield warn(
            "somaxconn",
            f"only {most:,} connections may wait to be accepted when many come at once: "
            f"sysctl -w net.core.somaxconn={BACKLOG}, and in /etc/sysctl.d/ to keep it.",
        )


def data_folder(folder: Path) -> Iterator[Finding]:
    """Whether the data folder can be written."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
    except OSError as error:
        yield fail(
            "data folder",
            f"{folder} cannot be written ({error.strerror}): make it writable for this user, or "
            "name another one with DATA_DIR.",
        )
    else:
        yield ok("data folder", f"{folder} can be written.")


def free_disk(folder: Path, reserve_bytes: int, free: int | None = None) -> Iterator[Finding]:
    """Whether there is more disk than the reserve at which publishing is refused."""
    try:
        left = shutil.disk_usage(folder).free if free is None else free
    except OSError:
        return  # data_folder() has said it
    said = f"{bytes_text(left)} are free for {folder}"
    if left < reserve_bytes:
        yield fail(
            "disk",
            f"{said}, less than RESERVE_BYTES ({bytes_text(reserve_bytes)}): publishing is refused "
            "until there is more. Free some, or set DISK_BUDGET_MB or shorter KEEP_ days.",
        )
    elif left < 4 * reserve_bytes:
        yield warn(
            "disk",
            f"{said}; below {bytes_text(reserve_bytes)} publishing is refused. Free some soon.",
        )
    else:
        yield ok("disk", f"{said}.")


def clock() -> Iterator[Finding]:
    """Whether the system's clock follows others, as its kernel sees it."""
    if sys.platform != "linux":
        return
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return
    if state == CLOCK_UNSYNCHRONISED:
        yield warn(
            "clock",
            "nothing keeps this machine's clock right: samples get its time. Start an NTP client "
            "(systemd-timesyncd, chrony).",
        )
    elif state >= 0:
        yield ok("clock", "the clock is kept right (NTP).")


def packages(least: Mapping[str, str] = LEAST_VERSIONS) -> Iterator[Finding]:
    """Whether packages are as new as they must be."""
    old = []
    for name, wanted in least.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            old.append(f"{name} is missing")
            continue
        if numbers(found) < numbers(wanted):
            old.append(f"{name} {found} is older than {wanted}")
    if old:
        yield fail("packages", f"{'; '.join(old)}: run .venv/bin/pip install -r requirements.txt.")
    else:
        yield ok("packages", f"{len(least)} packages are new enough.")


def numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: (5, 2, 17)."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()
