"""Ending connections whose peer does not read or does not answer."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

LINGER_ON_FOR_ZERO_SECONDS = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """Drop the connection at once, with everything the kernel still holds for it.

    A plain abort() leaves the unsent bytes with the kernel, which keeps them, and the socket,
    for a peer that never reads.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError, ValueError):  # it may be gone already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ON_FOR_ZERO_SECONDS)
    transport.abort()


def keep_kernel_backlog_small(transport: asyncio.Transport, backlog_bytes: int) -> None:
    """Ask the kernel to take at most `backlog_bytes` that were not sent yet.

    So a peer that does not read is noticed early, and not behind megabytes of socket buffer.
    """
    sock = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if sock is None or option is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with suppress(OSError):  # not every kernel has it, and it only helps
        sock.setsockopt(socket.IPPROTO_TCP, option, backlog_bytes)


def keep_kernel_inbox_small(transport: asyncio.Transport, inbox_bytes: int) -> None:
    """Ask the kernel to take about `inbox_bytes` that were not read yet.

    So a peer that floods us waits, instead of filling the kernel's memory, and what is read at
    once (uvloop takes up to 256 KiB) is not much more than that either.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with suppress(OSError):  # it may be gone already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, inbox_bytes)


class DrainWatch:
    """Calls `when_stuck` if the write buffer does not move for `timeout_s` while it is full."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        timeout_s: float,
        when_stuck: Callable[[], None],
        least_progress_bytes: int = 16 * 1024,
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._timeout_s = timeout_s
        self._when_stuck = when_stuck
        self._least_progress_bytes = least_progress_bytes
        self._timer: asyncio.TimerHandle | None = None
        self._buffered_bytes = 0

    def start(self) -> None:
        """The buffer is full from now on."""
        self.stop()
        self._buffered_bytes = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._timeout_s, self._look)

    def stop(self) -> None:
        """The buffer has drained, or the connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """A large answer on a slow line takes longer than the timeout, but it does move."""
        self._timer = None
        drained_bytes = self._buffered_bytes - self._transport.get_write_buffer_size()
        if drained_bytes >= self._least_progress_bytes:
            self.start()
        else:
            self._when_stuck()
