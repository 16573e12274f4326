"""Checks of settings that must fit each other: proxies, origins, encryption, secrets."""

from __future__ import annotations

import ipaddress
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dashboard import running, tls
from dashboard.doctor.finding import Finding, fail, ok, warn
from dashboard.environment import WILDCARD_HOSTS, own_names

SHORTEST_KEY = 40  # characters
EXPIRES_SOON_DAYS = 14
ANSWER_S = 10.0


def debug(on: bool) -> Iterator[Finding]:
    """Whether stack traces are shown to everybody."""
    if on:
        yield fail("DEBUG", "it shows stack traces and settings to everybody: leave DEBUG out.")
    else:
        yield ok("DEBUG", "off.")


def secret_key(folder: Path, key: str) -> Iterator[Finding]:
    """Whether others on this machine can read the key that signs sessions."""
    if len(key) < SHORTEST_KEY:
        yield fail(
            "SECRET_KEY",
            f"{len(key)} characters can be guessed: use {SHORTEST_KEY} random ones, or leave it "
            "out, and one is made and kept in the data folder.",
        )
        return
    path = folder / "secret_key"
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    if mode & 0o077:
        yield fail("SECRET_KEY", f"{path} can be read by others (mode {mode:o}): chmod 600 it.")
    else:
        yield ok("SECRET_KEY", "only this user can read it.")


def proxies(settings: Any) -> Iterator[Finding]:
    """Whether the settings for a proxy fit each other."""
    found = list(_proxy_faults(settings))
    yield from found or [ok("proxy", "the settings fit each other.")]


def _proxy_faults(settings: Any) -> Iterator[Finding]:
    trusted = [one.strip() for one in settings.TRUSTED_PROXIES.split(",") if one.strip()]
    https = [origin for origin in settings.ORIGINS if origin.startswith("https://")]
    if "*" in trusted:
        yield fail(
            "TRUSTED_PROXIES",
            "* believes everybody's X-Forwarded-For: name your proxies' addresses.",
        )
    for one in trusted:
        if one != "*" and not _is_network(one):
            yield fail("TRUSTED_PROXIES", f"{one!r} is no address or network: such as 10.0.0.0/24.")
    if settings.BEHIND_TLS_PROXY and not trusted:
        yield warn(
            "TRUSTED_PROXIES",
            "BEHIND_TLS_PROXY=1 and no proxy is trusted: every client seems to have the proxy's "
            "address. Name it.",
        )
    if settings.BEHIND_TLS_PROXY and sorted(settings.ALLOWED_HOSTS) == own_names(settings.HOST):
        yield warn(
            "ALLOWED_HOSTS",
            "BEHIND_TLS_PROXY=1, but only this machine's own names are allowed: name the host "
            "that browsers use, such as ALLOWED_HOSTS=metrics.example.org.",
        )
    if https and not settings.HTTPS:
        yield warn(
            "BEHIND_TLS_PROXY",
            f"ORIGINS has {https[0]}, but cookies are not kept to HTTPS: set BEHIND_TLS_PROXY=1 "
            "behind your proxy, or TLS_CERT.",
        )
    if settings.HOST in WILDCARD_HOSTS and not settings.HTTPS:
        yield warn(
            "HOST",
            f"{settings.HOST} serves the network without encryption, passwords too: set TLS_CERT, "
            "or HOST=127.0.0.1 behind a proxy with HTTPS and BEHIND_TLS_PROXY=1.",
        )


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def certificate(cert: Path | None, key: Path | None, now: datetime) -> Iterator[Finding]:
    """Whether the files for HTTPS can be used, and for how long."""
    try:
        if tls.context(cert, key) is None or cert is None:
            return
    except tls.CannotEncrypt as error:
        yield fail("TLS_CERT", str(error))
        return
    until = expires(cert)
    days = (until - now).days
    if days < 0:
        yield fail("TLS_CERT", f"{cert} ended on {until:%Y-%m-%d}: get a new one, then restart.")
    elif days < EXPIRES_SOON_DAYS:
        yield warn("TLS_CERT", f"{cert} ends on {until:%Y-%m-%d}: get a new one, then restart.")
    else:
        yield ok("TLS_CERT", f"good until {until:%Y-%m-%d}.")


def expires(cert: Path) -> datetime:
    """The end of the first certificate in a PEM file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cert)
    until = min(str(one["notAfter"]) for one in context.get_ca_certs()[:1])
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC)


def server(folder: Path) -> Iterator[Finding]:
    """Whether the server that uses this data folder, if one runs, is ready."""
    found = running.find(folder)
    if found is None:
        yield ok("server", "none runs with this data folder on this machine.")
        return
    trusting = ssl.create_default_context()
    trusting.check_hostname = False  # it is asked at 127.0.0.1, whatever its certificate says
    trusting.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(  # noqa: S310 - the address is our own server's
            f"{found.url}/readyz", timeout=ANSWER_S, context=trusting
        ):
            yield ok("server", f"{found.url} (process {found.pid}) is ready.")
    except urllib.error.HTTPError as error:
        yield fail("server", f"{found.url} is not ready: {_reason(error)}")
    except OSError as error:
        yield fail("server", f"{found.url} (process {found.pid}) does not answer: {error}.")


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["reason"])
    except (ValueError, KeyError):
        return f"it answers {error.code}."
