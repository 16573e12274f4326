"""The real product as a process of its own, for tests that see what users see."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar
from pathlib import Path

from tests.support.environment import ROOT
from tests.support.store import add_token
from tests.support.waiting import eventually

START_S = 60.0
STOP_S = 30.0
COMMAND_S = 60.0
# A whole line, so that half a line that was just written is not taken for all of it.
ADDRESS = re.compile(r"(http://127\.0\.0\.1:(\d+)/(?:signin/[\w.~-]+/)?)\s*\n")


class Product:
    """`manage.py serve` with a data folder and a port of its own, kept over restarts.

    `variables` are settings as environment variables, such as {"TICK_MS": "20"}. Its database is a
    file in its data folder, or with `new_database` an empty one that this gives the URL of.
    """

    def __init__(
        self,
        folder: Path,
        variables: Mapping[str, str] | None = None,
        new_database: Callable[[], str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = 0
        self.link = ""  # what it printed: a one-time sign-in link until a password is set
        self.process: subprocess.Popen[bytes] | None = None
        self._variables = dict(variables or {})
        if new_database and "DATABASE_URL" not in self._variables:
            self._variables["DATABASE_URL"] = new_database()
        self._log = folder / "serve.log"

    @property
    def base_url(self) -> str:
        """Such as http://127.0.0.1:40123, with no slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def live_url(self) -> str:
        """The address of the WebSocket."""
        return f"ws://127.0.0.1:{self.port}/live/"

    @property
    def database_url(self) -> str:
        """Of its database, for other processes and for looking into it."""
        return self._variables.get(
            "DATABASE_URL", f"sqlite://{self.folder / 'var' / 'pulseboard.sqlite3'}"
        )

    @property
    def output(self) -> str:
        """All that it printed and logged, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def environment(self) -> dict[str, str]:
        """What it and its commands run with."""
        own = {"DATA_DIR": str(self.folder / "var"), "HOST": "127.0.0.1", "PORT": str(self.port)}
        inherited = {k: v for k, v in os.environ.items() if k != "TEST_DATABASE_FILE"}
        return {**inherited, "PYTHONUNBUFFERED": "1", **own, **self._variables}

    def start(self) -> None:
        """Starts it and waits until it says where it answers; again, on the same port."""
        assert self.process is None, "it runs already"
        already_said = len(self.output)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that a Ctrl-C for the tests is not one for it
            )

        def address() -> re.Match[str] | None:
            self._assert_runs()
            return ADDRESS.search(self.output[already_said:])

        found = eventually(address, START_S, "the server prints its link")
        self.link, self.port = found[1], int(found[2])

    def kill9(self) -> None:
        """Ends it as a power cut would, with whatever it started."""
        self._end(signal.SIGKILL)

    def terminate(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Asks it to stop and waits; its exit status."""
        return self._end(how)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a management command beside it, whatever comes of it."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )

    def manage(self, *arguments: str) -> str:
        """Runs a management command that succeeds; what it printed, without the last line end."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"manage.py {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout.rstrip("\n")

    def token(self, name: str = "tests", scope: str = "publish") -> str:
        """A new token."""
        return add_token(self.database_url, name, scope)

    def new_link(self) -> str:
        """A fresh one-time sign-in link."""
        found = ADDRESS.search(self.manage("signin") + "\n")
        assert found, "manage.py signin prints a link"
        return found[1]

    def cookie(self) -> str:
        """Signs in with a fresh link; the Cookie header of that session."""
        jar = CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        with opener.open(self.new_link(), timeout=COMMAND_S):
            return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)

    def close(self) -> None:
        """Ends it if it still runs."""
        if self.process is not None:
            self._end(signal.SIGKILL)

    def _assert_runs(self) -> None:
        assert self.process is not None
        status = self.process.poll()
        if status is not None:
            self.process = None
            raise RuntimeError(f"the server ended with status {status}:\n{self.output[-4000:]}")

    def _end(self, how: signal.Signals) -> int:
        assert self.process is not None, "it does not run"
        process, self.process = self.process, None
        try:
            process.send_signal(how)
            return process.wait(STOP_S)
        finally:
            _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Nothing of it stays: it was the leader of a process group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_S)
