"""The processes of a supervisor, seen from it, and small words about them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress

LONGEST_PAUSE_S = 30.0


class Child:
    """A process, and what is known of it."""

    def __init__(
        self, slot: int, process: asyncio.subprocess.Process, leash: asyncio.StreamWriter
    ) -> None:
        self.slot = slot
        self.pid = process.pid
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self.left = False
        self.began_s = time.monotonic()
        self.process = process
        self._leash = leash
        self._told: set[str] = set()

    def tell(self, word: str) -> None:
        """Says a word, once."""
        if word not in self._told:
            self._told.add(word)
            self._leash.write(f"{word}\n".encode())

    def is_serving(self) -> bool:
        return self.ready.is_set() and not self.left

    def signal(self, how: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(how)

    def close(self) -> None:
        self._leash.close()


def pause_after(failures: int) -> float:
    """Seconds before the next start when the last so many ended soon."""
    return min(LONGEST_PAUSE_S, 0.5 * 2 ** (failures - 2)) if failures > 1 else 0.0


def how_it_ended(status: int | None) -> str:
    """An exit status in words."""
    if status is not None and status < 0:
        return f"killed by signal {-status}"
    return f"with status {status}"


def has_terminal() -> bool:
    """Whether this process can be reached from a terminal now."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
