"""What is installed for a comparison: into var/benchmark-rivals, kept for the next time.

Nothing of it is a dependency of Pulseboard, nor of its tests; the folder may be deleted.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import ROOT

FOLDER = ROOT / "var" / "benchmark-rivals"
NODE_PACKAGES = ("ws@8",)
PYTHON_PACKAGES = ("python-socketio==5.*", "uvicorn[standard]==0.*")
TIMEOUT_S = 120.0


class CannotInstall(Exception):
    """str() says why."""


def node_packages() -> Path:
    """A folder whose node_modules has them. Raises CannotInstall."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise CannotInstall("node and npm are not installed")
    folder = FOLDER / "node"
    if not (folder / "node_modules" / "ws").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *NODE_PACKAGES])
    return folder


def python_packages() -> Path:
    """The Python of an environment that has them. Raises CannotInstall."""
    folder = FOLDER / "python"
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", *PYTHON_PACKAGES])
        done.touch()
    return python


def versions() -> str:
    """Of what is installed, in a few words."""
    found = []
    for path in (FOLDER / "python").glob("lib/*/site-packages/*.dist-info"):
        name, _, version = path.name.removesuffix(".dist-info").rpartition("-")
        if name in ("python_socketio", "python_engineio"):
            found.append(f"{name.replace('_', '-')} {version}")
    return ", ".join(sorted(found))


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout or "").strip().splitlines()[-1:]
        raise CannotInstall(f"{command[0]} failed: {' '.join(last)}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(str(error)) from None
