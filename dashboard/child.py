"""One of several serving processes: what it is told by its supervisor, and that it ends with it.

The two hold the ends of a socket and say words, one a line. Supervisor: `measure` (publish your
own numbers), `collect` (measure the machine), `leave` (another has taken your place). Child:
`ready`, and `left` once it publishes nothing of its own any more. The socket's end is the
supervisor's end: then the child drains and leaves.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass

PR_SET_PDEATHSIG = 1  # linux/prctl.h

READY, LEFT = "ready", "left"
MEASURE, COLLECT, LEAVE = "measure", "collect", "leave"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a child is given on its command line."""

    supervisor: int  # process id
    listener: int  # file descriptor
    leash: int  # file descriptor
    slot: int  # from 1 on; a child that takes another's place takes its number
    event: str  # title of the event that tells of this start; empty: none

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Assignment:
        return cls(**json.loads(text))


def die_with(supervisor: int) -> None:
    """From now on the kernel, where it can, sends SIGTERM when the supervisor dies.

    The leash does the same everywhere, but only once the event loop runs. Leaves at once when the
    supervisor is gone already.
    """
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):  # another C library, perhaps
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        raise SystemExit(1)


class Leash:
    """A child's end of the socket."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._lock = threading.Lock()
        self.told = {word: asyncio.Event() for word in (MEASURE, COLLECT)}

    def say(self, word: str) -> None:
        """Tells the supervisor; any thread."""
        with self._lock, suppress(OSError):  # it is gone: the listening thread notices
            self._socket.sendall(f"{word}\n".encode())

    def follow(
        self,
        loop: asyncio.AbstractEventLoop,
        leave: Callable[[], None],
        when_lost: Callable[[], None],
    ) -> None:
        """Hears the supervisor from now on; `when_lost` is called, on a thread, at its end.

        A thread, so that a loop that hangs does not outlive its supervisor.
        """
        listening = threading.Thread(
            target=self._listen, args=(loop, leave, when_lost), name="leash", daemon=True
        )
        listening.start()

    def _listen(
        self,
        loop: asyncio.AbstractEventLoop,
        leave: Callable[[], None],
        when_lost: Callable[[], None],
    ) -> None:
        means = {LEAVE: leave, **{word: event.set for word, event in self.told.items()}}
        with suppress(OSError), self._socket.makefile("r") as lines:
            for line in lines:
                with suppress(RuntimeError):  # a loop that has ended needs no tasks
                    loop.call_soon_threadsafe(means[line.strip()])
        when_lost()
