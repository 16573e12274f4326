"""Starting and stopping: the sentences when it cannot start, and how it ends."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard.listener import CannotListen, listen, url_of, why_not
from tests.socket_support import handshake
from tests.support.environment import ROOT
from tests.support.product import Product
from tests.support.waiting import eventually

NewServer = Callable[..., Product]


# Addresses


def test_a_taken_port_is_one_sentence_with_a_way_out() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(CannotListen) as refused:
            listen("127.0.0.1", port)
    assert str(refused.value) == (
        f"Port {port} on 127.0.0.1 is taken by another program. "
        f"Stop it, or choose another: make run PORT={port + 1}"
    )


def test_a_forbidden_port_is_one_sentence_with_a_way_out() -> None:
    assert why_not("127.0.0.1", 80, PermissionError(errno.EACCES, "Permission denied")) == (
        "Port 80 on 127.0.0.1 needs more rights than this user has. "
        "Choose one above 1023: make run PORT=8001"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_another_machine_is_one_sentence(host: str) -> None:
    with pytest.raises(CannotListen, match=f"^{host} is not an address of this machine"):
        listen(host, 0)


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]")]
)
def test_the_address_to_open_is_one_that_a_browser_here_can_open(host: str, shown: str) -> None:
    try:
        listener = listen(host, 0)
    except CannotListen:
        pytest.skip(f"{host} cannot be had here")
    with listener:
        assert url_of(listener) == f"http://{shown}:{listener.getsockname()[1]}"


# manage.py serve


def serve(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`manage.py serve` when it is expected to refuse."""
    return subprocess.run(
        [sys.executable, "manage.py", "serve", *options],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_refused(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip() == sentence


def test_serve_on_a_taken_port_says_so_before_it_does_anything(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = serve("--port", str(port), DATA_DIR=str(folder))
    assert_refused(
        done,
        f"Port {port} on 127.0.0.1 is taken by another program. "
        f"Stop it, or choose another: make run PORT={port + 1}",
    )
    assert not list(folder.glob("*.sqlite3"))


@pytest.mark.parametrize("name", ["file/var", "file"])
def test_serve_with_a_file_for_a_data_folder_says_so(folder: Path, name: str) -> None:
    (folder / "file").touch()
    done = serve("--port", "0", DATA_DIR=str(folder / name), SECRET_KEY="x" * 50)
    assert done.returncode == 1
    assert re.fullmatch(
        f"The data folder {folder / name} cannot be used \\([A-Za-z ]+\\): make it writable for "
        "this user, or name another one: make run DATA_DIR=/path/to/folder",
        done.stderr.strip(),
    )


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write")
def test_serve_with_a_folder_that_cannot_be_written_says_so() -> None:
    done = serve("--port", "0", DATA_DIR="/proc/self", SECRET_KEY="x" * 50)
    assert done.returncode == 1
    assert "/proc/" in done.stderr
    assert "make it writable" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_serve_with_a_damaged_database_says_so(folder: Path) -> None:
    (folder / "pulseboard.sqlite3").write_bytes(b"this is no database at all" * 100)
    done = serve("--port", "0", DATA_DIR=str(folder))
    assert_refused(
        done,
        f"The database {folder / 'pulseboard.sqlite3'} cannot be used: file is not a database.",
    )


@pytest.mark.parametrize("port", ["http", "65536", "-1"])
def test_serve_with_a_port_that_is_none_says_what_is_expected(folder: Path, port: str) -> None:
    done = serve(f"--port={port}", DATA_DIR=str(folder))
    assert done.returncode != 0
    assert "expected 0 to 65535" in done.stderr


def test_serve_prints_one_link_when_it_answers_and_one_line_when_it_ends(
    new_server: NewServer,
) -> None:
    product = new_server()
    with urllib.request.urlopen(f"{product.base_url}/healthz", timeout=60) as answered:
        assert answered.status == 200
    assert product.terminate(signal.SIGINT) == 0
    lines = product.output.splitlines()
    assert lines == [f"Pulseboard is running: {product.link}", "Stopped."]


def test_what_other_packages_do_at_the_end_of_a_process_is_done(
    new_server: NewServer, folder: Path
) -> None:
    done = folder / "done"
    hook = f"import atexit, pathlib; atexit.register(pathlib.Path({str(done)!r}).touch)"
    (folder / "sitecustomize.py").write_text(hook)
    product = new_server({"PYTHONPATH": str(folder)})
    done.unlink(missing_ok=True)  # of commands before
    assert product.terminate() == 0
    assert done.exists()


def test_serve_stops_though_a_client_never_reads(
    new_server: NewServer,
) -> None:
    product = new_server()
    with socket.create_connection(("127.0.0.1", product.port)) as stuck:
        stuck.sendall(handshake())
        assert stuck.recv(12) == b"HTTP/1.1 101"
        assert product.terminate() == 0
    assert "Traceback" not in product.output


def test_a_second_start_keeps_what_the_first_made(new_server: NewServer) -> None:
    product = new_server()
    first = (product.folder / "var" / "secret_key").read_text()
    assert product.terminate() == 0
    product.start()
    assert (product.folder / "var" / "secret_key").read_text() == first
    assert product.terminate() == 0


# Where it runs


def test_signin_prints_the_address_where_the_server_really_runs(new_server: NewServer) -> None:
    product = new_server()
    elsewhere = {**product.environment, "PORT": "1", "HOST": "0.0.0.0"}
    printed = subprocess.run(
        [sys.executable, "manage.py", "signin"],
        cwd=ROOT, env=elsewhere, capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert printed.startswith(f"{product.base_url}/signin/")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_signin_falls_back_to_the_settings_when_no_server_runs(
    new_server: NewServer, how: signal.Signals
) -> None:
    product = new_server()
    product.terminate(how)
    assert (product.folder / "var" / "running.json").exists() == (how == signal.SIGKILL)
    elsewhere = {**product.environment, "PORT": "8123", "HOST": "0.0.0.0"}
    printed = subprocess.run(
        [sys.executable, "manage.py", "signin"],
        cwd=ROOT, env=elsewhere, capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert printed.startswith("http://127.0.0.1:8123/signin/")


def test_systemd_hears_when_it_is_ready(new_server: NewServer, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(folder / "notify"))
        systemd.settimeout(60)
        new_server({"NOTIFY_SOCKET": str(folder / "notify")})
        assert systemd.recv(100) == b"READY=1"


def test_before_it_stops_it_says_for_a_while_that_it_is_not_ready(new_server: NewServer) -> None:
    product = new_server({"DRAIN_SECONDS": "60"})
    assert product.process is not None
    product.process.terminate()

    def not_ready() -> bool:
        try:
            urllib.request.urlopen(f"{product.base_url}/readyz", timeout=60)
        except urllib.error.HTTPError as error:
            return error.code == 503
        return False

    eventually(not_ready, what="it takes requests and says it is not ready")
    assert product.terminate() == 0, "a second signal ends it at once"
