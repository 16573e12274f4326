"""Servers and publishers as processes of their own, on cores of their own where that can be had.

Everything started here is ended by its own process id when its `with` block is left.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, NoReturn

import psutil

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"http://127\.0\.0\.1:(\d+)")
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0
HELPER_TIMEOUT_S = 400.0


class Cores(NamedTuple):
    """Which cores the server gets, and which the load."""

    server: frozenset[int]
    load: frozenset[int]


def _divide() -> Cores | None:
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return None
    return Cores(frozenset(cores[:1]), frozenset(cores[1:]))


CORES = _divide()  # before anything is pinned


def how_pinned() -> str:
    """A sentence for the report."""
    if CORES is None:
        return "not pinned: server and load share the cores as the system likes"
    return "the server is pinned to one core, clients and publishers to the others"


@contextmanager
def on_cores(cores: frozenset[int] | None) -> Iterator[None]:
    """Processes started meanwhile by this thread inherit its cores."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def on_load_cores() -> contextlib.AbstractContextManager[None]:
    """This process, which is the load, keeps off the server's core."""
    return on_cores(CORES.load if CORES else None)


def environment(folder: Path, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """What every process of a benchmark runs with: nothing of the caller's own settings."""
    ours = ("DATA_DIR", "DATABASE_URL", "REDIS_URL", "HOST", "PORT", "DEBUG", "TICK_MS", "TAIL_MS")
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    own = {
        "DATA_DIR": str(folder),
        "HOST": "127.0.0.1",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
    }
    return {**inherited, **own, **(variables or {})}


class Server:
    """A server that prints its address; `arguments` are those of Python."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.port = 0
        self.start_s = 0.0
        self.command = [sys.executable, *arguments]
        self._environment = environment(folder, variables)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it and waits for its address. Raises RuntimeError when that does not come."""
        self.folder.mkdir(parents=True, exist_ok=True)
        began_s = time.perf_counter()
        with on_cores(CORES.server if CORES else None), self._log.open("w") as log:
            self._process = process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the benchmark, which then stops this
            )
        watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
        watchdog.start()
        try:
            self.wait_until_ready()
        finally:
            watchdog.cancel()
        self.start_s = time.perf_counter() - began_s

    def wait_until_ready(self) -> None:
        """Until it says its address, and where that is."""
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = LINK.search(line)
            if found:
                self.port = int(found[1])
                return
        self.fail_to_start()

    def fail_to_start(self) -> NoReturn:
        """Raises RuntimeError with the end of its log."""
        self.stop()
        raise RuntimeError(f"a server did not start: {self._log.read_text()[-2000:]}")

    def tokens(self) -> tuple[str, str]:
        """A token to read and one to publish; once for a data folder."""
        with Helper("benchmarks.tokens", [], self.folder) as helper:
            read, publish = helper.output().split()
        return read, publish

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
        if process.stdout is not None:
            process.stdout.close()

    def cpu_seconds(self) -> float:
        """Processor time it has used so far, with its workers."""
        times = [process.cpu_times() for process in self._family()]
        return float(sum(one.user + one.system for one in times))

    def rss_mib(self) -> float:
        return float(sum(one.memory_info().rss for one in self._family()) / 2**20)

    def _family(self) -> list[psutil.Process]:
        process = psutil.Process(self.pid)
        return [process, *process.children(recursive=True)]

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"


class Pulseboard(Server):
    """`manage.py serve` as it comes; `options` such as --no-jobs."""

    def __init__(
        self, folder: Path, *options: str, variables: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(["manage.py", "serve", "--port", "0", *options], folder, variables)

    def __enter__(self) -> Pulseboard:
        self.start()
        return self

    def manage(self, *arguments: str) -> str:
        """Runs a management command beside it, on the load's cores. Raises CalledProcessError."""
        with on_load_cores():
            done = subprocess.run(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT_S,
                check=True,
            )
        return done.stdout.strip()


class Helper:
    """A Python module of ours in a process of its own, on the load's cores."""

    def __init__(self, module: str, arguments: Sequence[str], folder: Path) -> None:
        self._module = module
        with on_load_cores():
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env=environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

    def __enter__(self) -> Helper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def lines(self) -> Iterator[str]:
        """What it prints, as it comes, until it ends. Raises RuntimeError when it failed."""
        watchdog = threading.Timer(HELPER_TIMEOUT_S, self._process.kill)
        watchdog.start()
        try:
            assert self._process.stdout is not None
            yield from self._process.stdout
        finally:
            watchdog.cancel()
        status = self._process.wait()
        if status:
            raise RuntimeError(f"{self._module} ended with status {status}")

    def output(self) -> str:
        """All it printed, once it has ended. Raises RuntimeError when it failed."""
        return "".join(self.lines())


@contextmanager
def folder() -> Iterator[Path]:
    """An empty data folder, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="pulseboard-benchmark-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Effort:
    """Share of one core that a process used between two moments."""

    def __init__(self, server: Server | None = None) -> None:
        self._server = server
        self._cpu_s = self._used_s()
        self._began_s = time.perf_counter()

    def percent(self) -> float:
        return 100 * self.used_s() / (time.perf_counter() - self._began_s)

    def used_s(self) -> float:
        """Processor time in seconds."""
        return self._used_s() - self._cpu_s

    def _used_s(self) -> float:
        return self._server.cpu_seconds() if self._server else time.process_time()
