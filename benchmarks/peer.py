"""Another database as a process: started, fed, asked, ended; see benchmarks/peers.py."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path

import psutil

from benchmarks.processes import CORES, on_cores
from benchmarks.walks import Line

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
FEED_TIMEOUT_S = 300.0
QUIET_S = 1.0  # so long a folder's size has not changed: it is taken for settled
SETTLE_TIMEOUT_S = 30.0


class Peer:
    """One of them; start() and stop() it, or use it in a `with` block."""

    name = ""
    program = ""
    package = ""
    how_sized = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Peer:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @classmethod
    def is_there(cls) -> bool:
        return shutil.which(cls.program) is not None

    @classmethod
    def version(cls) -> str:
        """As the program says it; empty when it does not."""
        try:
            done = subprocess.run(
                cls._version_command(), capture_output=True, text=True, timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        found = re.search(r"\d+\.\d+(?:\.\d+)?", done.stdout + done.stderr)
        return found[0] if found else ""

    @classmethod
    def _version_command(cls) -> list[str]:
        return [cls.program, "--version"]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it and waits until it answers. Raises RuntimeError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with on_cores(CORES.server if CORES else None), self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end_s = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < end_s and self._process.poll() is None:
            with contextlib.suppress(OSError):
                if self.get(self._ready)[0] < 300:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not start: {self._log.read_text()[-1000:]}")

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def get(self, path: str) -> tuple[int, bytes]:
        return self._request("GET", path, None)

    def post(self, path: str, body: bytes) -> None:
        """Raises RuntimeError when it is refused."""
        status, said = self._request("POST", path, body)
        if status >= 300:
            raise RuntimeError(f"{self.name} refused {path}: {status} {said[:500].decode()}")

    def _request(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=FEED_TIMEOUT_S)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def cpu_seconds(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def feed(self, lines: Sequence[Line]) -> None:
        """Stores these; it runs already."""
        raise NotImplementedError

    def settle(self) -> None:
        """Waits until what was fed lies in files of its final form."""

    def bytes_of_data(self) -> int:
        """What its data folder takes, once it is settled."""
        return size_of(self.folder / "data")

    def query(self, metric: str, start_ms: int, end_ms: int, step_ms: int) -> str:
        """The path that asks for the last value at each step."""
        raise NotImplementedError

    def points(self, answer: bytes) -> int:
        """How many values an answer to query() holds; any JSON error is one."""
        raise NotImplementedError

    def _command(self) -> list[str]:
        raise NotImplementedError

    _ready = "/"

    @property
    def _log(self) -> Path:
        return self.folder / "peer.log"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def size_of(folder: Path) -> int:
    """Bytes of all files, without what was only reserved; some may go while it looks."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                found = path.stat()
                total += min(found.st_size, 512 * found.st_blocks)
    return total


def wait_until_still(folder: Path, quiet_s: float = QUIET_S) -> None:
    end_s = time.monotonic() + SETTLE_TIMEOUT_S
    before, since_s = size_of(folder), time.monotonic()
    while time.monotonic() < min(end_s, since_s + quiet_s):
        time.sleep(0.1)
        now = size_of(folder)
        if now != before:
            before, since_s = now, time.monotonic()
