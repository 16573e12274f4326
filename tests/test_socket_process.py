"""The server as a process: signals, an end whatever hangs, and memory."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from dashboard import server
from dashboard.leaving import STOP_TIMEOUT_S
from tests.socket_support import handshake
from tests.support.environment import ROOT

END_S = 60.0


class Program:
    """`tests.socket_program` while it runs."""

    def __init__(self, how: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.socket_program", how],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said: list[str] = []
        for line in self.process.stdout:
            self.said.append(line.strip())
            if line.startswith("ready "):
                self.port = int(line.split()[1])
                break

    def open(self, path: str = "/") -> AbstractContextManager[ClientConnection]:
        return connect(f"ws://127.0.0.1:{self.port}{path}", compression=None, ping_interval=None)

    def dial(self, data: bytes) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.sendall(data)
        return sock

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and wait; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(END_S)

    def rest(self) -> tuple[str, str]:
        """What it printed and logged until its end."""
        out, err = self.process.communicate(timeout=END_S)
        return out, err


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    made: list[Program] = []

    def make(how: str = "") -> Program:
        made.append(Program(how))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_says_1012_and_exits_with_0(program: Callable[..., Program], number: int) -> None:
    running = program()
    with ExitStack() as stack:
        clients = [stack.enter_context(running.open()) for _ in range(5)]
        running.process.send_signal(number)
        for client in clients:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=END_S)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
    assert running.process.wait(END_S) == 0
    assert running.rest() == ("background left\nrun returned\n", "")
    assert running.said == ["background entered", f"ready {running.port}"]


def test_stuck_clients_of_every_kind_do_not_keep_the_process(
    program: Callable[..., Program],
) -> None:
    running = program()
    stuck = [running.dial(handshake(path)) for path in ("/pour/", "/stuck/", "/") * 3]
    stuck.append(running.dial(b"GET /half"))
    stuck.append(running.dial(b"GET /stuck/ HTTP/1.1\r\nHost: x\r\n\r\n"))
    stuck.append(running.dial(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"))
    for one in stuck[:9]:
        assert one.recv(12) == b"HTTP/1.1 101"
    with running.open() as healthy:
        healthy.send("hi")
        assert healthy.recv() == "hi"
        assert running.end() == 0
        with pytest.raises(ConnectionClosed, match="1012"):
            healthy.recv(timeout=END_S)
    said, logged = running.rest()
    assert said == "background left\nrun returned\n"
    assert "a request was dropped: the server is stopping" in logged
    assert "Traceback" not in logged
    for one in stuck:
        one.close()


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("slow", r"the background did not stop within 4\.\d s"),
        ("hanging-thread", "something did not stop within 4.8 s: leaving without it"),
    ],
)
def test_a_background_that_hangs_does_not_keep_the_process(
    program: Callable[..., Program], how: str, sentence: str
) -> None:
    running = program(how)
    assert running.end() == 0
    assert re.search(sentence, running.rest()[1])


def test_a_second_signal_ends_the_process_within_a_second(program: Callable[..., Program]) -> None:
    running = program("slow")
    with running.open() as client:
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed, match="1012"):
            client.recv(timeout=END_S)
    assert running.end() == 0
    assert "something did not stop within 1 s: leaving without it" in running.rest()[1]


def test_a_stop_is_promised_to_take_five_seconds_at_most() -> None:
    assert server.BACKGROUND_DEADLINE_S < STOP_TIMEOUT_S < 5


def test_a_background_that_cannot_start_ends_the_process(
    program: Callable[..., Program],
) -> None:
    running = program("fails")
    assert running.process.wait(END_S) == 1
    assert "the background cannot start" in running.rest()[1]


def resident_bytes(process_id: int) -> int:
    pages = Path(f"/proc/{process_id}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
def test_hostile_peers_do_not_grow_the_process(program: Callable[..., Program]) -> None:
    """40 readers that stop, floods of pings and fragments, and a chunked body of 256 MiB."""
    running = program()
    with running.open() as client:  # everything is imported and warm
        client.send("hi")
        client.recv()
    before_bytes = resident_bytes(running.process.pid)
    peers = [running.dial(handshake("/pour/")) for _ in range(40)]
    floods = [b"\x89\xfd\0\0\0\0" + b"p" * 125, b"\x01\x80\0\0\0\0" + b"\0\x80\0\0\0\0" * 100]
    floods.append(b"100000\r\n" + b"c" * 0x100000 + b"\r\n")
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    most_bytes = 0
    for head, flood in zip((handshake("/"), handshake("/stuck/"), chunked), floods, strict=True):
        peer = running.dial(head)
        peers.append(peer)
        data = flood * max(1, (1 << 20) // len(flood))
        with suppress(OSError):  # being cut is as good as being ignored
            for _ in range(256):
                peer.sendall(data)
                most_bytes = max(most_bytes, resident_bytes(running.process.pid))
    assert most_bytes - before_bytes < 24 * 1024 * 1024
    for peer in peers:
        peer.close()
