"""Where the server runs: it notes its address in the data folder, for other commands to find."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

FILE = "running.json"
CLOCK_STEP_S = 2.0  # by so much two readings of one process's start may differ


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: its address without a slash at the end, and its process."""

    url: str
    pid: int


def remember(folder: Path, url: str) -> None:
    """Notes that this process serves `url`; the last of several wins."""
    draft = folder / f"{FILE}.{os.getpid()}"
    began_s = psutil.Process().create_time()
    draft.write_text(json.dumps({"url": url, "pid": os.getpid(), "began_s": began_s}))
    draft.replace(folder / FILE)


def forget(folder: Path) -> None:
    """Removes the note of this process; that of another stays."""
    found = find(folder)
    if found is not None and found.pid == os.getpid():
        (folder / FILE).unlink(missing_ok=True)


def find(folder: Path) -> Running | None:
    """The server that runs with this data folder; None when there is none on this machine.

    A server that was killed leaves its note: whether its process is still there decides.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):
        noted = json.loads((folder / FILE).read_text())
        process = psutil.Process(noted["pid"])
        if abs(process.create_time() - noted["began_s"]) < CLOCK_STEP_S:
            return Running(noted["url"], noted["pid"])
    return None
