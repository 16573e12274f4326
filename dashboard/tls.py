"""Encryption without a proxy: the certificate and its key, or one sentence on what is wrong."""

from __future__ import annotations

import ssl
from pathlib import Path


class CannotEncrypt(Exception):
    """The files cannot be used; the message is one sentence that says what to do."""


def context(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """What encrypts with these PEM files (TLS 1.2 and newer); None when neither is given.

    The key may be in the certificate's file. Raises CannotEncrypt.
    """
    if cert is None and key is None:
        return None
    if cert is None:
        raise CannotEncrypt(
            f"TLS_KEY={key} is set and TLS_CERT is not: name the certificate too, with its chain."
        )
    _check_readable("TLS_CERT", cert)
    if key is not None:
        _check_readable("TLS_KEY", key)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        made.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        raise CannotEncrypt(_why_not(cert, key, error)) from None
    # WebSockets begin with HTTP/1.1, and nothing else is spoken here.
    made.set_alpn_protocols(["http/1.1"])
    return made


def _check_readable(name: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise CannotEncrypt(
            f"{name}={path} cannot be read ({error.strerror}): name a PEM file that this user may "
            "read."
        ) from None


def _no_password() -> str:
    """Asked for when the key is encrypted; a server that starts by itself cannot ask anybody."""
    return ""


def _why_not(cert: Path, key: Path | None, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return (
            f"The key in TLS_KEY={key or cert} does not belong to the certificate in "
            f"TLS_CERT={cert}: name the two that were made together."
        )
    if not _holds_certificate(cert):
        return f"TLS_CERT={cert} holds no certificate in PEM form: expected BEGIN CERTIFICATE."
    return (
        f"TLS_KEY={key or cert} holds no key that can be used: expected an unencrypted private key "
        "in PEM form."
    )


def _holds_certificate(cert: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cert)
    except ssl.SSLError:
        return False
    return True
