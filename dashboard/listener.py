"""The socket we listen on: taken before anything else starts, or refused with one sentence."""

from __future__ import annotations

import errno
import socket

BACKLOG = 2048


class CannotListen(Exception):
    """The address cannot be had; the message is one sentence that says what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `host` and `port`; port 0 takes a free one.

    Raises CannotListen.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # Listening at once keeps the port ours; who connects early waits instead of failing.
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise CannotListen(why_not(host, port, error)) from None
    listener.setblocking(False)
    return listener


def adopt(fd: int) -> socket.socket:
    """The socket that a supervisor made and listens on."""
    listener = socket.socket(fileno=fd)
    listener.setblocking(False)
    return listener


def why_not(host: str, port: int, error: Exception) -> str:
    """One sentence for a failed bind."""
    number = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror) or number == errno.EADDRNOTAVAIL:
        return (
            f"{host} is not an address of this machine. "
            "Use HOST=127.0.0.1, or HOST=0.0.0.0 for every address."
        )
    if isinstance(error, PermissionError):
        return (
            f"Port {port} on {host} needs more rights than this user has. "
            "Choose one above 1023: make run PORT=8001"
        )
    if number == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken by another program. "
            f"Stop it, or choose another: make run PORT={port + 1 if port < 65535 else 8001}"
        )
    return f"Cannot listen on {host} port {port}: {error}."


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """The address to open in a browser on this machine, without a slash at the end."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - never bound
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
