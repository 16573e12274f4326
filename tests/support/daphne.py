"""The product under daphne: an ASGI server that is not ours and never pushes back."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys

from tests.support.environment import ROOT
from tests.support.product import Product
from tests.support.waiting import eventually

READY_S = 60.0


class Daphne(Product):
    """`manage.py runserver`, which daphne serves, instead of `serve`."""

    def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.manage("migrate", "-v0")
        with (self.folder / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{self.port}"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        eventually(self._answers, READY_S, "daphne answers")

    def _answers(self) -> bool:
        self._assert_runs()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False
