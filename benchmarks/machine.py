"""Where and when a result was measured: a figure without its machine says nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.processes import CORES, ROOT

PACKAGES = ("django", "channels", "uvicorn", "websockets", "uvloop", "msgspec", "numpy")
SYNC_WRITES = 50


def describe() -> dict[str, Any]:
    """Cores, processor, memory, disk and versions."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "disk_sync_us": _sync_us(),
        "pinned": CORES is not None,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "versions": {name: _version(name) for name in PACKAGES},
    }


class Others:
    """How busy all cores were with anything but the benchmarks, from now on.

    Counts processes of ours once they have ended, so it is to be asked when all have.
    """

    def __init__(self) -> None:
        self._busy_s, self._all_s = _busy()
        self._own_s = _own()

    def percent(self) -> float:
        busy_s, all_s = _busy()
        others_s = busy_s - self._busy_s - (_own() - self._own_s)
        return round(max(0.0, 100 * others_s / max(all_s - self._all_s, 0.001)), 1)


def _busy() -> tuple[float, float]:
    """(busy, all) seconds of all cores; what the machine's own host took counts as busy."""
    times = psutil.cpu_times()
    # On Linux the time of guests is in that of users already.
    counted = {k: v for k, v in times._asdict().items() if not k.startswith("guest")}
    idle_s = counted.get("idle", 0.0) + counted.get("iowait", 0.0)
    return sum(counted.values()) - idle_s, sum(counted.values())


def _own() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def commit() -> str:
    """The short hash of the code measured, with "-changed" when files differ from it."""
    try:
        hash = _git("rev-parse", "--short", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return "uncommitted"
    # Results and pages about them do not change what is measured.
    changed = _git("status", "--porcelain", "--", ".", ":!benchmarks/results", ":!docs")
    return f"{hash}-changed" if changed else hash


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()


def _cpu() -> str:
    found = Path("/proc/cpuinfo")
    if found.exists():
        for line in found.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _sync_us() -> float:
    """Median time to make 4 KiB durable where the benchmarks keep their data; about 0 in memory,
    where a durable commit costs nothing and proves nothing."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(SYNC_WRITES):
            file.write(b"x" * 4096)
            file.flush()
            began_s = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began_s)
    return round(statistics.median(times) * 1e6, 1)
