"""What a load test is to do, and why it cannot be done: refusals before anything is started."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

METRIC = "loadtest"
SPARE_FILES = 64  # open files of this process that are not sockets
TIMEOUT_S = 10.0


class CannotTest(Exception):
    """The load test cannot be made, or goes on no longer; str() is a sentence with what to do."""


@dataclass(frozen=True)
class Target:
    """Where the server is, from an address such as http://127.0.0.1:8000."""

    host: str
    port: int
    secure: bool

    @property
    def netloc(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.netloc}"

    @property
    def tls(self) -> ssl.SSLContext | None:
        return ssl.create_default_context() if self.secure else None

    @property
    def is_local(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def connection(self) -> HTTPConnection:
        kind = HTTPSConnection if self.secure else HTTPConnection
        return kind(self.host, self.port, timeout=TIMEOUT_S)


@dataclass(frozen=True)
class Plan:
    """`slow` and `stuck` are shares from 0 to 1; `rate` and `churn` are per second.

    `expression` is what is watched when nothing is published here, else empty.
    """

    target: Target
    sockets: int
    series: int
    watches: int
    rate: float
    slow: float
    stuck: float
    churn: float
    seconds: float
    subprotocol: str
    run: str
    expression: str = ""

    @property
    def expressions(self) -> list[str]:
        if self.expression:
            return [self.expression]
        return [
            f'{METRIC}{{run="{self.run}",panel="{panel}"}}' for panel in range(1, self.watches + 1)
        ]

    @property
    def kinds(self) -> list[str]:
        """Of each socket: good, slow or stuck, mixed evenly."""
        slow, stuck = round(self.slow * self.sockets), round(self.stuck * self.sockets)
        kinds = ["good"] * self.sockets
        wanted = [*["slow"] * slow, *["stuck"] * stuck][: self.sockets]
        for number, kind in enumerate(wanted):
            kinds[number * self.sockets // len(wanted)] = kind
        return kinds


def target(text: str) -> Target:
    """Where the server is. Raises CannotTest."""
    try:
        url = urlsplit(text if "//" in text else f"http://{text}")
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/"):
        raise CannotTest(
            f"{text!r} is not the address of a server: expected scheme, host and port alone, such "
            "as http://127.0.0.1:8000"
        )
    secure = url.scheme == "https"
    return Target(url.hostname, port or (443 if secure else 80), secure)


def check_reachable(server: Target) -> None:
    """Raises CannotTest unless Pulseboard answers there."""
    connection = server.connection()
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise CannotTest(
                f"{server.url} answers, but not as Pulseboard does (/healthz: {answer.status}): is "
                "it the right port?"
            )
    except (OSError, HTTPException) as error:
        raise CannotTest(
            f"Nothing answers at {server.url} ({error}): start the server (manage.py serve), or "
            "say where it is with --url"
        ) from None
    finally:
        connection.close()


def allow_files(sockets: int) -> None:
    """Raises this process's limit of open files as far as needed. Raises CannotTest."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    needed = sockets + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise CannotTest(
            f"{sockets:,} sockets need about {needed:,} open files, and this process may have "
            f"{hard:,}: raise the limit (ulimit -Hn {needed}, as root), or ask for at most "
            f"{max(0, hard - SPARE_FILES):,} with --sockets. The server needs as many."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
