"""Certificates for tests, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class Pair:
    """A certificate for localhost and 127.0.0.1, and its key."""

    cert: Path
    key: Path


def make_pair(folder: Path, name: str = "site", password: str = "", days: int = 90) -> Pair:
    """Writes a self-signed certificate that is good for so many days from now."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is needed to make a certificate")
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    secret = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            *secret, "-days", str(days), "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", str(pair.key), "-out", str(pair.cert),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return pair
