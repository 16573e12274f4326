"""Asking a server for history, as a page and as a program do: connections that are kept."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

JSON, BINARY = "pulseboard.v1.json", "pulseboard.v1"  # pages take the binary form
BINARY_SNAPSHOT = b"\x01\x01"
TIMEOUT_S = 60.0
REST_S = 0.05  # a question takes two messages, and a socket may send 50 a second

_asked = itertools.count()  # on all connections together


@dataclass(frozen=True)
class Question:
    """The last value of every series of `metric` at each step."""

    name: str
    metric: str
    start_ms: int
    end_ms: int
    step_ms: int


class Browser:
    """A connection to /live/; asks one question at a time."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last_id = 0
        self._asked_s = 0.0

    def rest(self) -> None:
        """Until one more question may be asked; not to be timed."""
        time.sleep(max(0.0, self._asked_s + REST_S - time.perf_counter()))
        self._asked_s = time.perf_counter()

    def ask(self, question: Question) -> bytes:
        """The snapshot. Raises RuntimeError when it was refused."""
        self._last_id += 1
        id = self._last_id
        watch = {
            "type": "watch",
            "id": id,
            # No series has this label: another question, but the same answer. Otherwise the
            # server would give away once more the picture that it has just drawn.
            "expr": f'{question.metric}{{asked!="{next(_asked)}"}}',
            "range_ms": question.end_ms - question.start_ms - 1,
            "step_ms": question.step_ms,
            "end_ms": question.end_ms,
        }
        self._socket.send(json.dumps(watch))
        while True:
            frame = self._socket.recv(TIMEOUT_S, decode=False)
            if frame.startswith((b'{"type":"snapshot"', BINARY_SNAPSHOT)):
                break
            if frame.startswith((b'{"type":"error"', b'{"type":"bye"')):
                raise RuntimeError(frame.decode())
        self._socket.send(json.dumps({"type": "unwatch", "id": id}))
        return frame


@contextmanager
def browsing(port: int, token: str, subprotocol: str = JSON) -> Iterator[Browser]:
    """A connection that has said who it is."""
    with connect(
        f"ws://127.0.0.1:{port}/live/",
        subprotocols=[Subprotocol(subprotocol)],
        compression=None,
        max_size=None,
        proxy=None,
    ) as socket:
        socket.send(json.dumps({"type": "hello", "token": token}))
        yield Browser(socket)


class Http:
    """A connection that is kept, and made anew when the server has closed it after a while."""

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        self._headers = headers or {}

    def get(self, path: str) -> bytes:
        """Raises RuntimeError for anything but 200."""
        try:
            answer = self._answer(path)
        except ConnectionError:
            self._connection.close()
            answer = self._answer(path)
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {said[:500].decode()}")
        return said

    def _answer(self, path: str) -> HTTPResponse:
        self._connection.request("GET", path, headers=self._headers)
        return self._connection.getresponse()

    def close(self) -> None:
        self._connection.close()
