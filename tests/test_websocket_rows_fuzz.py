"""Whatever a client sends: no crash, a close with a code and a sentence, and no one else minds."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from dashboard.protocol import Close
from dashboard.protocol_examples import CLIENT_EXAMPLES
from tests.conftest import NewServer
from tests.live_support import as_json
from tests.socket_support import CLOSE, handshake
from tests.support.product import Product
from tests.support.waiting import DEADLINE_S

JSON_FORM = "pulseboard.v1.json"
MOST = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
OURS = "a live socket failed", "Traceback", "Exception", "failed on a WebSocket"

huge = st.sampled_from([2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, -0.0])
scalars = st.none() | st.booleans() | st.integers() | huge | st.floats() | st.text(max_size=40)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
fields = st.sampled_from(
    ["type", "id", "expr", "range_ms", "step_ms", "end_ms", "cursor", "token", "limit", "frames"]
)
examples = st.sampled_from([as_json(frame) for frame in CLIENT_EXAMPLES])
changed = st.builds(lambda base, change: base | change, examples, st.dictionaries(fields, values))
watches = st.builds(
    lambda id, expr: {"type": "watch", "id": id, "expr": expr, "range_ms": 60_000, "step_ms": 1000},
    st.integers(1, 3),
    st.text("abcxyz_09{}[]()=~!\"',+-*/^%<> \\\u2028sumbyratehour\x00é", max_size=60),
)
messages: st.SearchStrategy[str | bytes] = (
    (examples | changed | watches | values).map(json.dumps)
    | st.builds(lambda text, at: text[:at], examples.map(json.dumps), st.integers(0, 60))
    | st.text(max_size=200)
    | st.sampled_from(["[", '{"a":', '"\\ud800"', "1" * 5000, "[" * 60_000, '{"type":' * 7000])
    | st.binary(max_size=200)
)
# The first two bytes of a frame are anything, so lengths lie and masks miss.
frames = st.builds(
    lambda first, second, rest: bytes([first, second]) + rest,
    st.integers(0, 255),
    st.integers(0, 255) | st.just(0x80) | st.just(0x85),
    st.binary(max_size=300),
)


@contextmanager
def welcomed(product: Product, token: str) -> Iterator[ClientConnection]:
    """A socket that may read."""
    with connect(
        product.live_url,
        subprotocols=[Subprotocol(JSON_FORM)],
        compression=None,
        ping_interval=None,
    ) as client:
        client.send(json.dumps({"type": "hello", "token": token}))
        assert json.loads(client.recv(DEADLINE_S))["type"] == "welcome"
        yield client


@dataclass
class Fuzzed:
    """A product that is fuzzed, and somebody else who watches it."""

    product: Product
    token: str
    bystander: ClientConnection

    def check_the_bystander(self) -> None:
        """The one who did nothing wrong is still answered, if only that this watch exists."""
        self.bystander.send(json.dumps({"type": "watch_events", "id": 1, "limit": 1}))
        while json.loads(self.bystander.recv(DEADLINE_S))["type"] not in ("events", "error"):
            pass

    def check(self) -> None:
        """Nothing of it was a mistake of ours."""
        self.check_the_bystander()
        assert not [word for word in OURS if word in self.product.output]


@pytest.fixture
def fuzzed(new_server: NewServer) -> Iterator[Fuzzed]:
    product = new_server({"CONNECTIONS_PER_USER": "1000"})
    token = product.token("fuzz", "read")
    with welcomed(product, token) as bystander:
        yield Fuzzed(product, token, bystander)


def check_the_end(code: int, reason: str) -> None:
    assert code in set(Close), code
    assert code != Close.INTERNAL, reason
    assert reason.strip()


@MOST
@given(said=st.lists(messages, max_size=12))
@example(said=["nonsense"] * 12)
@example(said=[b"\x00"])
@example(
    said=['{"type":"watch","id":1,"expr":"' + "(" * 3900 + '","range_ms":60000,"step_ms":1000}']
)
def test_whatever_a_viewer_says_is_answered_or_ends_with_a_code_and_a_sentence(
    fuzzed: Fuzzed, said: list[str | bytes]
) -> None:
    with welcomed(fuzzed.product, fuzzed.token) as client:
        try:
            for message in said:
                client.send(as_sent(message))
            client.send(json.dumps({"type": "watch_events", "id": 77_777, "limit": 1}))
            while json.loads(client.recv(DEADLINE_S)).get("id") != 77_777:
                pass
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "closed without a code"
            check_the_end(closed.rcvd.code, closed.rcvd.reason)
    fuzzed.check()


def as_sent(message: Any) -> Any:
    """Lone surrogates cannot be sent as text; sent all the same they are no UTF-8."""
    if isinstance(message, str) and not message.isprintable():
        return message.encode(errors="replace").decode()
    return message


@MOST
@given(sent=st.lists(frames, min_size=1, max_size=8).map(b"".join), says_hello=st.booleans())
@example(sent=b"\x81\x83\0\0\0\0\xed\xa0\x80", says_hello=True)  # a lone surrogate
@example(sent=b"\x81\xff\x7f" + b"\xff" * 7 + b"\0\0\0\0", says_hello=True)  # 2^63 - 1 bytes follow
@example(sent=b"\x01\x80\0\0\0\0" + b"\0\x80\0\0\0\0" * 100, says_hello=True)
def test_bytes_that_are_no_frames_end_with_a_code_and_a_sentence(
    fuzzed: Fuzzed, sent: bytes, says_hello: bool
) -> None:
    with socket.create_connection(("127.0.0.1", fuzzed.product.port), DEADLINE_S) as sock:
        sock.sendall(handshake(extra=f"Sec-WebSocket-Protocol: {JSON_FORM}\r\n"))
        stream = sock.makefile("rb")
        assert stream.readline().startswith(b"HTTP/1.1 101 ")
        while stream.readline() != b"\r\n":
            pass
        if says_hello:
            sock.sendall(masked(json.dumps({"type": "hello", "token": fuzzed.token}).encode()))
        sock.sendall(sent)
        # What is half a frame so far, or a good one, ends here at the latest.
        sock.shutdown(socket.SHUT_WR)
        said = [payload for opcode, payload in heard(stream) if opcode == CLOSE]
    for payload in said:
        reason = payload[2:].decode()
        if not holds_a_close(sent):
            (code,) = struct.unpack("!H", payload[:2])
            check_the_end(code, reason)
    fuzzed.check()


def holds_a_close(sent: bytes) -> bool:
    """Whether the server may have echoed a close, with the peer's own code and reason or none."""
    return any(byte & 0x8F == 0x80 | CLOSE for byte in sent)


def masked(text: bytes) -> bytes:
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text


def heard(stream: Any) -> Iterator[tuple[int, bytes]]:
    """The server's frames until it hangs up, in whatever way."""
    try:
        while len(head := stream.read(2)) == 2:
            size = head[1]
            if size == 126:
                (size,) = struct.unpack("!H", stream.read(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", stream.read(8))
            yield head[0] & 0x0F, stream.read(size)
    except ConnectionError:
        return
