"""Uploads without end, and lengths that lie: refused early, at no cost, and never half stored."""

from __future__ import annotations

import json
import select
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.product import Product
from tests.support.waiting import DEADLINE_S
from tests.test_socket_process import resident_bytes

LIMIT_BYTES = 16 * 1024 * 1024  # the default of BODY_BYTES
UPLOAD_BYTES = 1 << 30
MOST_BYTES = 20 * 1024 * 1024
CHUNK = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
GOOD = json.dumps({"samples": [{"metric": "lie", "value": 1}]}).encode()


class Upload:
    """A request for publishing, on a connection of its own."""

    def __init__(self, product: Product, token: str, *headers: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", product.port), DEADLINE_S)
        lines = [
            "POST /api/v1/samples HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {token}",
            "Content-Type: application/json",
            *headers,
        ]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode())

    def is_answered(self) -> bool:
        return bool(select.select([self.sock], [], [], 0)[0])

    def answer(self) -> bytes:
        """All that comes until the server hangs up, in whatever way."""
        answered = b""
        with suppress(ConnectionError), self.sock:
            while data := self.sock.recv(65536):
                answered += data
        return answered


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
def test_a_gigabyte_in_chunks_is_refused_early_and_costs_little_memory(server: Product) -> None:
    token = server.token()
    for goes_on in (False, True):
        assert server.process is not None
        before = most = resident_bytes(server.process.pid)
        upload = Upload(server, token, "Transfer-Encoding: chunked")
        sent = 0
        with suppress(ConnectionError):  # it was cut
            while sent < UPLOAD_BYTES and (goes_on or not upload.is_answered()):
                upload.sock.sendall(CHUNK)
                sent += len(CHUNK)
                most = max(most, resident_bytes(server.process.pid))
        if not goes_on:
            assert upload.answer().startswith(b"HTTP/1.1 413 ")
            assert LIMIT_BYTES < sent < 4 * LIMIT_BYTES
        print(f"\n{sent >> 20} MiB sent: +{(most - before) / 2**20:.1f} MiB")
        assert most - before <= MOST_BYTES
        upload.sock.close()


def test_a_length_that_lies_stores_nothing_and_hurts_nobody(server: Product) -> None:
    token = server.token()
    size = len(GOOD)
    refused = {
        413: [[f"Content-Length: {UPLOAD_BYTES}"], ["Content-Length: 99999999999999999"]],
        400: [
            ["Content-Length: -1"],
            ["Content-Length: 0x10"],
            [f"Content-Length: {'9' * 30}"],
            [f"Content-Length: {size}", f"Content-Length: {size + 1}"],
            [f"Content-Length: {size}", "Transfer-Encoding: chunked"],
        ],
    }
    for status, lies in refused.items():
        for headers in lies:
            upload = Upload(server, token, *headers)
            with suppress(ConnectionError):
                upload.sock.sendall(GOOD)
            assert upload.answer().startswith(b"HTTP/1.1 %d " % status), headers

    too_long = Upload(server, token, f"Content-Length: {size + 1}")
    too_long.sock.sendall(GOOD)
    too_long.sock.shutdown(socket.SHUT_WR)
    assert b" 200 " not in too_long.answer().partition(b"\r\n")[0]
    too_short = Upload(server, token, f"Content-Length: {size - 1}", "Connection: close")
    too_short.sock.sendall(GOOD)
    assert too_short.answer().startswith(b"HTTP/1.1 400 ")

    honest = Upload(server, token, f"Content-Length: {size}", "Connection: close")
    honest.sock.sendall(GOOD)
    answered = honest.answer()
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answered.partition(b"\r\n\r\n")[2]) == {"stored": 1}
    assert "Traceback" not in server.output
