"""HTTPS without a proxy: what is refused with a sentence, and a live socket over TLS."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from dashboard import protocol, tls
from tests.live_support import LiveClient
from tests.support.environment import ROOT
from tests.support.product import Product
from tests.support.waiting import DEADLINE_S, eventually
from tests.tls_support import make_pair

NewServer = Callable[..., Product]


def why_not(cert: Path | None, key: Path | None) -> str:
    with pytest.raises(tls.CannotEncrypt) as refused:
        tls.context(cert, key)
    return str(refused.value)


def test_a_key_without_a_certificate_is_one_sentence(folder: Path) -> None:
    pair = make_pair(folder)
    assert why_not(None, pair.key) == (
        f"TLS_KEY={pair.key} is set and TLS_CERT is not: name the certificate too, with its chain."
    )


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    pair = make_pair(folder)
    nowhere = folder / "nowhere.pem"
    sentence = "cannot be read (No such file or directory): name a PEM file that this user may read"
    assert why_not(nowhere, pair.key) == f"TLS_CERT={nowhere} {sentence}."
    assert why_not(pair.cert, nowhere) == f"TLS_KEY={nowhere} {sentence}."


def test_a_folder_is_no_certificate(folder: Path) -> None:
    assert "cannot be read (Is a directory)" in why_not(folder, None)


def test_a_key_of_another_certificate_is_named(folder: Path) -> None:
    one, other = make_pair(folder, "one"), make_pair(folder, "other")
    assert why_not(one.cert, other.key) == (
        f"The key in TLS_KEY={other.key} does not belong to the certificate in "
        f"TLS_CERT={one.cert}: name the two that were made together."
    )


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\0" * 100])
def test_a_file_without_a_certificate_is_named(folder: Path, content: bytes) -> None:
    pair = make_pair(folder)
    pair.cert.write_bytes(content)
    assert why_not(pair.cert, pair.key).startswith(f"TLS_CERT={pair.cert} holds no certificate")


@pytest.mark.parametrize("content", [b"", b"no key"])
def test_a_file_without_a_key_is_named(folder: Path, content: bytes) -> None:
    pair = make_pair(folder)
    pair.key.write_bytes(content)
    assert why_not(pair.cert, pair.key).startswith(f"TLS_KEY={pair.key} holds no key")


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(folder: Path) -> None:
    pair = make_pair(folder, password="secret")
    assert "expected an unencrypted private key" in why_not(pair.cert, pair.key)


def test_serve_says_it_before_it_does_anything(folder: Path) -> None:
    product = Product(folder, {"TLS_CERT": str(folder / "nowhere.pem")})
    done = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env={**product.environment, "SECRET_KEY": "x" * 50},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"TLS_CERT={folder / 'nowhere.pem'} cannot be read")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (folder / "var").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_pages_and_sockets_are_encrypted(
    new_server: NewServer, folder: Path, workers: str
) -> None:
    pair = make_pair(folder)
    product = new_server(
        {"TLS_CERT": str(pair.cert), "TLS_KEY": str(pair.key), "WORKERS": workers}, start=False
    )
    process = start(product)
    try:
        note = product.folder / "var" / "running.json"
        url: str = eventually(lambda: note.exists() and json.loads(note.read_text())["url"])
        assert url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(pair.cert))
        jar = CookieJar()
        opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(jar), urllib.request.HTTPSHandler(context=trusting)
        )
        link = product.manage("signin")
        assert link.startswith(f"{url}/signin/")
        with opener.open(link, timeout=DEADLINE_S) as page:
            assert page.headers["Strict-Transport-Security"] == "max-age=3600"
            assert page.headers["Content-Security-Policy"].count("wss://") == 1
        assert {cookie.name: cookie.secure for cookie in jar} == {
            "__Host-pulseboard": True,
            "csrftoken": True,
        }
        async with connect(
            f"{url.replace('https', 'wss')}/live/",
            ssl=trusting,
            origin=url,  # type: ignore[arg-type]
            subprotocols=["pulseboard.v1.json"],  # type: ignore[list-item]
            additional_headers={"Cookie": "; ".join(f"{c.name}={c.value}" for c in jar)},
        ) as socket:
            client = LiveClient(socket)
            await client.get(protocol.Welcome)
            process.terminate()
            assert (await client.goodbye())[0] == 1012
        out, err = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
        assert out.startswith(f"Pulseboard is running: {url}/signin/")
        assert err == ""
        assert not note.exists()
    finally:
        process.kill()
        process.wait()


def start(product: Product) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env=product.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
