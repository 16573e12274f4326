"""Gives a test run its own data folder. Imported first, before Django reads its settings."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("PULSEBOARD_SHARED") or ROOT.parent / "shared")  # others' data


def forget_settings() -> None:
    """Removes every variable the settings read, so that nobody's shell changes a test."""
    text = (ROOT / "dashboard" / "settings.py").read_text(encoding="utf-8")
    for name in re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', text):
        os.environ.pop(name, None)


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pulseboard-tests-")).resolve()
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked child leaves it to its parent
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


forget_settings()
FOLDER = _new_folder()
os.environ["DATA_DIR"] = str(FOLDER / "var")
# A file, so that threads and other processes see the same database.
os.environ["TEST_DATABASE_FILE"] = str(FOLDER / "test.sqlite3")
os.environ["DJANGO_SETTINGS_MODULE"] = "dashboard.settings"
