"""The secret key of an installation: made at the first start, kept in the data folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def secret_key(folder: Path) -> str:
    """The key in `folder`/secret_key, made (mode 0600) when it is not there.

    Raises ImproperlyConfigured when the folder cannot be written.
    """
    path = folder / "secret_key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"The data folder {folder} cannot be used ({error.strerror}): make it writable for "
            "this user, or name another one with DATA_DIR=/path/to/folder."
        ) from None


def _make(path: Path) -> None:
    """Two processes may start at once: the key appears whole, and the first one wins."""
    draft = path.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_urlsafe(50), encoding="ascii")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
