"""Finds a Chromium for the browser tests, and installs one where that is allowed.

`python -m tests.support.chromium --install` is what `make test` calls.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATIONS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
ARGUMENTS = ["--disable-gpu", "--disable-background-networking"]
MISSING = (
    "No Chromium was found and none could be installed: install chromium, or name one with "
    "PULSEBOARD_CHROMIUM=/path/to/chromium, to run the browser tests."
)


def find_chromium() -> str | None:
    """The path of a Chromium that starts, or None."""
    return next((path for path in _candidates() if _starts(path)), None)


def launch_arguments() -> list[str]:
    """What Chromium is started with; its sandbox refuses to run as root."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [*ARGUMENTS, "--no-sandbox"] if is_root else ARGUMENTS


def install_chromium() -> str | None:
    """Installs Chromium with what this machine has; the path, or None where nothing worked."""
    playwright = [sys.executable, "-m", "playwright", "install"]
    attempts: list[list[list[str]]] = [[[*playwright, "chromium"]]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        packages = ["chromium", "fonts-dejavu-core"]
        apt = ["apt-get", "-qq", "-o=Dpkg::Use-Pty=0"]
        attempts = [
            [[*apt, "update"], [*apt, "install", "-y", "--no-install-recommends", *packages]],
            # Ubuntu's package is only a pointer to a snap, which a container cannot run.
            [[*playwright, "--with-deps", "chromium"]],
        ]
    for commands in attempts:
        print("Installing Chromium for the browser tests (once) ...", flush=True)
        if all(_succeeds(command) for command in commands) and (found := find_chromium()):
            return found
    return None


def _candidates() -> Iterator[str]:
    if named := os.environ.get("PULSEBOARD_CHROMIUM"):
        yield named
        return
    yield from (path for name in NAMES if (path := shutil.which(name)))
    yield from (path for path in APPLICATIONS if Path(path).exists())
    if own := _of_playwright():
        yield own


def _of_playwright() -> str | None:
    """Where Playwright keeps the Chromium it downloads, if it did."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _starts(path: str) -> bool:
    return _succeeds([path, "--version"], quiet=True)


def _succeeds(command: list[str], quiet: bool = False) -> bool:
    """Runs a command; what a failed one said is shown, unless `quiet`."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=900, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        if not quiet:
            print(f"{' '.join(command)}: {error}")
        return False
    if done.returncode and not quiet:
        print((done.stdout + done.stderr)[-2000:])
    return done.returncode == 0


if __name__ == "__main__":
    found = find_chromium() or ("--install" in sys.argv and install_chromium())
    if not found:
        sys.exit(MISSING)
