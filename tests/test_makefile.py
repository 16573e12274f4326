"""`make run` on machines of all kinds, played by a Python that only pretends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import ROOT
from tests.support.waiting import eventually

TOOLS = ("sh", "make", "cat", "cmp", "cp", "dirname", "mkdir", "rm", "sed", "tail")
DEADLINE_S = 60

# Answers like a Python of version $1, notes what it was asked to do, installs nothing.
PRETENDER = """#!/bin/sh
case "$*" in
*version_info*) echo {version} ;;
*_base_executable*) echo "$0" ;;
"-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
"-m pip install "*)
    echo installed >> calls
    if [ -e offline ]; then echo "no route to host"; exit 1; fi ;;
"manage.py serve") echo "serving on ${{PORT:-8000}} in ${{DATA_DIR:-var}}" {then} ;;
esac
"""
# Like the server: takes Ctrl-C as the way to end well, and needs a moment for it. SIGUSR1 says
# that the moment is over: make stumbles over a child that is gone before make heard of Ctrl-C.
UNTIL_CTRL_C = """import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGUSR1])
print("ready", os.getpid(), flush=True)
signal.sigwait([signal.SIGINT])
signal.sigwait([signal.SIGUSR1])
"""


class Checkout:
    """A copy of what `make run` uses, on a machine that has only what `bin` holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        shutil.copy(ROOT / "Makefile", folder)
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        for name in ("requirements.txt", "requirements-dev.txt"):
            shutil.copy(ROOT / name, folder)
        for tool in TOOLS:
            path = shutil.which(tool)
            assert path, f"{tool} is needed to test the Makefile"
            (self.bin / tool).symlink_to(path)

    def add_command(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def add_python(self, name: str, version: str, then: str = "") -> None:
        self.add_command(name, PRETENDER.format(version=version, then=then))

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": str(self.bin), "HOME": str(self.folder)}

    @property
    def installations(self) -> int:
        calls = self.folder / "calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0


@pytest.fixture
def checkout(folder: Path) -> Checkout:
    return Checkout(folder)


def sentences(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What was printed, without make's own line at the end of a failure."""
    return [line for line in done.stdout.splitlines() if not line.startswith("make:")]


def test_without_python_one_sentence_says_what_to_do(checkout: Checkout) -> None:
    done = checkout.make("run")
    assert done.returncode != 0
    assert sentences(done) == [
        "Pulseboard needs Python 3.11 or newer and found none: install one "
        "(https://www.python.org/downloads/ or your system's packages), "
        "or name it: make run PYTHON=/path/to/python3.12"
    ]


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.9", "3.10"])
def test_a_too_old_python_is_named(checkout: Checkout, version: str) -> None:
    checkout.add_python("python3", version)
    done = checkout.make("run")
    assert done.returncode != 0
    assert len(sentences(done)) == 1
    assert f"needs Python 3.11 or newer and found only {version}: install" in done.stdout
    assert not (checkout.folder / ".venv").exists()


def test_a_python_asked_for_that_is_too_old_is_refused(checkout: Checkout) -> None:
    checkout.add_python("python3.11", "3.11")
    checkout.add_python("mine", "3.8")
    done = checkout.make("run", "PYTHON=mine")
    assert done.returncode != 0
    assert sentences(done) == [
        "PYTHON=mine is Python 3.8; Pulseboard needs Python 3.11 or newer: name another one."
    ]


def test_a_python_without_its_venv_package_says_which_to_install(checkout: Checkout) -> None:
    checkout.add_command(
        "python3",
        '#!/bin/sh\ncase "$*" in *version_info*) echo 3.12 ;; *ensurepip*) exit 1 ;; esac\n',
    )
    done = checkout.make("run")
    assert done.returncode != 0
    assert len(sentences(done)) == 1
    assert "apt install python3.12-venv" in done.stdout


def test_a_failed_installation_shows_its_end_and_is_tried_again(checkout: Checkout) -> None:
    checkout.add_python("python3", "3.12")
    (checkout.folder / "offline").touch()
    failed = checkout.make("run")
    assert failed.returncode != 0
    assert sentences(failed)[1:] == [
        "no route to host",
        "The packages could not be installed (the end of .venv/pip.log is above): "
        "see that this machine reaches the package index, then run this again.",
    ]
    (checkout.folder / "offline").unlink()
    assert "serving on 8000" in checkout.make("run").stdout
    assert checkout.installations == 2


@pytest.mark.parametrize("version", ["3.11", "3.14", "3.20"])
def test_the_first_run_installs_once_and_serves(checkout: Checkout, version: str) -> None:
    checkout.add_python("python3", version)
    done = checkout.make("run", "PORT=9123", "DATA_DIR=elsewhere")
    assert done.returncode == 0
    assert sentences(done) == [
        "Installing packages (once, about a minute) ...",
        "serving on 9123 in elsewhere",
    ]
    assert checkout.installations == 1


def test_the_second_run_only_serves(checkout: Checkout) -> None:
    checkout.add_python("python3", "3.12")
    checkout.make("run")
    assert checkout.make("run").stdout == "serving on 8000 in var\n"
    assert checkout.installations == 1


def test_changed_requirements_are_installed(checkout: Checkout) -> None:
    checkout.add_python("python3", "3.12")
    checkout.make("run")
    (checkout.folder / "requirements.txt").write_text("# another one\n")
    checkout.make("run")
    assert checkout.installations == 2


def test_a_shim_that_fails_is_passed_over(checkout: Checkout) -> None:
    checkout.add_command("python3.13", "#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    checkout.add_python("python3.11", "3.11")
    assert "serving on 8000" in checkout.make("run").stdout


def test_an_environment_whose_python_is_gone_is_made_again(checkout: Checkout) -> None:
    checkout.add_python("python3", "3.12")
    checkout.make("run")
    interpreter = checkout.folder / ".venv" / "bin" / "python"
    interpreter.unlink()
    interpreter.symlink_to("/nowhere/python3.9")
    assert "serving on 8000" in checkout.make("run").stdout
    assert checkout.installations == 2


def has_heard_ctrl_c(pid: int) -> bool:
    """Whether make is inside its handler of SIGINT; elsewhere than on Linux nobody can tell."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return True
    caught = int(re.findall(r"^SigCgt:\s*(\w+)$", status.read_text(), re.MULTILINE)[0], 16)
    return not caught & 1 << signal.SIGINT - 1


def test_ctrl_c_ends_without_an_error_of_make(checkout: Checkout) -> None:
    (checkout.folder / "until_ctrl_c.py").write_text(UNTIL_CTRL_C)
    checkout.add_python("python3", "3.12", then=f"; exec {sys.executable} until_ctrl_c.py")
    log = checkout.folder / "output"
    with log.open("wb") as output:
        running = subprocess.Popen(
            ["make", "run"],
            cwd=checkout.folder,
            env=checkout.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ready = r"ready (\d+)\n"
        eventually(lambda: re.search(ready, log.read_text()), what="it serves")
        served = int(re.findall(ready, log.read_text())[-1])
        os.killpg(running.pid, signal.SIGINT)
        eventually(lambda: has_heard_ctrl_c(running.pid), what="make heard of Ctrl-C")
        os.kill(served, signal.SIGUSR1)
        running.wait(DEADLINE_S)
    assert "***" not in log.read_text()


def test_make_alone_says_what_it_can_do(checkout: Checkout) -> None:
    done = checkout.make()
    listed = {line.split()[1] for line in done.stdout.splitlines()}
    assert done.returncode == 0
    assert listed == {"run", "test", "lint", "format", "bench", "lock", "clean"}
