"""Somebody wants to know what their server bears: `manage.py loadtest`."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest

from dashboard import binary_frames, protocol
from dashboard.binary_frames import Grid
from dashboard.loadtest import plan, wire
from dashboard.loadtest.figures import Latencies, Tally, Trail, never_came
from dashboard.loadtest.plan import CannotTest
from dashboard.loadtest.reader import Reader, watching
from dashboard.loadtest.wire import BINARY, SNAPSHOT, TEXT, UPDATE, Look
from tests.conftest import NewServer
from tests.support.product import Product
from tests.support.waiting import aeventually

NOW_MS = 1_790_000_000_000.0
SMALL = ("--sockets", "12", "--seconds", "1.5", "--rate", "20")


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["ftp://127.0.0.1", "http://127.0.0.1:8000/live/", "http://", "http://a:b"]
)
def test_what_is_no_address_of_a_server_is_refused(address: str) -> None:
    with pytest.raises(CannotTest, match=r"not the address of a server.*http://127.0.0.1:8000"):
        plan.target(address)


def test_where_nothing_answers_it_says_how_to_start_a_server() -> None:
    with pytest.raises(CannotTest, match=r"Nothing answers at .*:1 .*manage.py serve"):
        plan.check_reachable(plan.target("http://127.0.0.1:1"))


def test_another_program_is_not_loaded() -> None:
    with (
        somebody_else() as port,
        pytest.raises(CannotTest, match=r"not as Pulseboard does .*404.*right port"),
    ):
        plan.check_reachable(plan.target(f"127.0.0.1:{port}"))


def test_more_sockets_than_files_may_be_open_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 1000))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)
    plan.allow_files(900)
    with pytest.raises(CannotTest, match="5,064 open files, and this process may have 1,000"):
        plan.allow_files(5000)


def test_a_token_of_another_server_is_refused(server: Product) -> None:
    unknown = f"pb_{'x' * 43}"
    done = server.run("loadtest", *SMALL, "--token", unknown)
    assert done.returncode == 1
    assert "does not know the token" in done.stderr
    assert "DATA_DIR" in done.stderr
    done = server.run("loadtest", *SMALL, "--publish-token", unknown)
    assert done.returncode == 1
    assert "may not publish here (401" in done.stderr
    assert "--scope publish" in done.stderr


def test_more_sockets_than_one_token_may_have_are_explained(new_server: NewServer) -> None:
    server = new_server({"CONNECTIONS_PER_USER": "3"})
    token = server.token("one reader", "read")
    done = server.run("loadtest", *SMALL, "--token", token)
    assert done.returncode == 1
    assert "4429" in done.stderr
    assert "Give --token several times" in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--slow", "0.6", "--stuck", "0.6"], "together at most 1"),
        (["--series", "2", "--watches", "3"], "every panel needs a series"),
        (["--expr", "up"], "--expr is for --no-publish"),
        (["--sockets", "0"], "at least 1"),
        (["--slow", "2"], "not a share"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(
    new_server: NewServer, options: list[str], sentence: str
) -> None:
    done = new_server(start=False).run("loadtest", *options)
    assert done.returncode != 0
    assert sentence in done.stderr


# -- what it does ---------------------------------------------------------------------------------


def test_everybody_sees_everything_and_no_token_stays(new_server: NewServer) -> None:
    server = new_server({"CONNECTIONS_PER_USER": "5"})  # it makes as many tokens as it takes
    for form in ("binary", "json"):
        done = server.run("loadtest", *SMALL, "--watches", "3", "--form", form, "--json")
        found = json.loads(done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
        assert found["plan"]["form"] == wire.FORMS[form]
        assert found["published"]["calls"] > 5
        values = found["values"]
        assert values["due"] == 12 * 3 * found["published"]["calls"]
        assert values["shown"] + values["replaced"] == values["due"]
        assert (values["lost"], found["gaps"], found["steps_back"], found["closes"]) == (
            0,
            0,
            0,
            [],
        )
        assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]
        assert found["server_memory"]["before_bytes"] > 10_000_000
        assert "connected 12/12" in done.stderr
    ask = "from metrics.models import Source; print(Source.objects.count())"
    assert server.manage("shell", "--no-imports", "-c", ask).splitlines()[-1] == "0"


def test_slow_stuck_and_restless_clients_lose_nothing(server: Product) -> None:
    done = server.run(
        "loadtest", *SMALL, "--slow", "0.25", "--stuck", "0.25", "--churn", "10", "--seconds", "3"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 sockets, 3 of them slow, 3 stuck; pulseboard.v1" in done.stdout
    assert "never came 0" in done.stdout
    assert "0 gaps by cursor, 0 steps back" in done.stdout
    reconnects = done.stdout.partition(" reconnects")[0].rpartition(" ")[2]
    assert int(reconnects) > 0


def test_what_somebody_else_publishes_can_be_watched(server: Product) -> None:
    done = server.run(
        "loadtest", *SMALL, "--no-publish", "--expr", "system_cpu_percent", "--seconds", "2.5"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Published" not in done.stdout
    assert "nothing to measure" in done.stdout  # its values are no times of sending


# -- what it counts -------------------------------------------------------------------------------


def test_a_quantile_is_right_to_two_percent() -> None:
    latencies = Latencies()
    assert latencies.quantile(0.5) == 0
    for ms in range(1, 10_001):
        latencies.add(ms / 10)
    for share in (0.01, 0.5, 0.99):
        assert latencies.quantile(share) == pytest.approx(1000 * share, rel=0.02)
    assert latencies.quantile(1) == pytest.approx(1000, rel=0.02)
    latencies.add(-3.0)  # clocks of two machines differ
    assert latencies.quantile(0) == pytest.approx(0.01, rel=0.02)


def look(seq: int, value: float = math.nan, **changes: Any) -> Look:
    usual = Look(UPDATE, 1, "0000abcd", seq, False, NOW_MS, value)
    return usual._replace(**changes)


def trail() -> tuple[Trail, Tally]:
    """Somebody who has the snapshot that was taken at cursor 4, and the update after it."""
    one, tally = Trail(), Tally()
    one.take(look(4, NOW_MS - 5, kind=SNAPSHOT), tally)
    one.take(look(5, NOW_MS), tally)
    return one, tally


def test_a_frame_that_is_missing_or_comes_twice_is_counted() -> None:
    one, tally = trail()
    assert one.take(look(6, NOW_MS + 10), tally) == NOW_MS + 10
    one.take(look(9, NOW_MS + 20), tally)
    assert (tally.gaps, tally.steps_back) == (2, 0)
    one.take(look(9, NOW_MS + 20), tally)
    assert (tally.gaps, tally.steps_back) == (2, 1)
    one.take(look(1, epoch="0000beef"), tally)  # a new epoch begins with a snapshot
    assert tally.gaps == 3


def test_merged_frames_and_snapshots_are_no_gaps() -> None:
    one, tally = trail()
    one.take(look(9, conflated=True), tally)
    one.take(look(20, kind=SNAPSHOT), tally)
    one.take(look(3, kind=SNAPSHOT, epoch="0000beef"), tally)
    one.take(look(4, epoch="0000beef"), tally)
    assert (tally.gaps, tally.steps_back, tally.conflated, tally.snapshots) == (0, 0, 1, 3)
    assert one.cursor == "0000beef:4"


def test_all_that_was_missed_by_a_reconnect_may_come_as_one_update() -> None:
    one, tally = trail()
    one.begins = True
    one.take(look(9), tally)
    assert tally.gaps == 0
    one.take(look(11), tally)
    assert tally.gaps == 1


def test_an_older_value_is_a_step_back_unless_it_corrects_an_older_step() -> None:
    one, tally = trail()
    one.take(look(6, NOW_MS - 30), tally)
    assert tally.steps_back == 1
    one.take(look(7, NOW_MS - 900, time_ms=NOW_MS - 1000), tally)
    assert tally.steps_back == 1


def test_what_never_came_is_what_nothing_newer_followed() -> None:
    assert never_came([10.0, 20.0, 30.0], 20.0) == 1
    assert never_came([10.0, 20.0, 30.0], -math.inf) == 3


@pytest.mark.parametrize("kind", [SNAPSHOT, UPDATE])
def test_both_forms_say_the_same(kind: int) -> None:
    times = [1000, 2000]
    values: list[list[float | None]] = [[5.0, NOW_MS], [1.0, math.nan]]
    lines = [protocol.Line({"panel": str(n)}) for n in (1, 2)]
    grid = Grid(kind, np.array(times), np.array(values, float), lines, 1000)
    binary = b"\x82\x7e" + binary_frames.encode(grid, "0000abcd:77", 3, conflated=True)
    frame: protocol.Snapshot | protocol.Update
    if kind == SNAPSHOT:
        frame = protocol.Snapshot(3, lines, times, values, 1000, "0000abcd:77", conflated=True)
    else:
        frame = protocol.Update(3, times, values, "0000abcd:77", lines, conflated=True)
    text = b"\x81\x7e" + protocol.encode(frame).encode()
    expected = Look(kind, 3, "0000abcd", 77, True, 2000.0, NOW_MS)
    assert wire.look_at(BINARY, binary, 2, len(binary)) == expected
    assert wire.look_at(TEXT, text, 2, len(text)) == expected
    assert wire.newest_value(TEXT, text, 2, len(text)) == NOW_MS


def test_other_messages_are_no_data() -> None:
    heartbeat = b'{"type":"heartbeat","server_ms":1}'
    assert wire.look_at(TEXT, heartbeat, 0, len(heartbeat)) is None
    for odd in (b"\x01\x02", b"\x02" + bytes(60), b"\x01\x07" + bytes(60)):
        assert wire.look_at(BINARY, odd, 0, len(odd)) is None
    assert math.isnan(wire.newest_value(BINARY, b"\x01\x02", 0, 2))


class Wire:
    """A transport that only remembers."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass


async def test_a_server_that_wants_to_know_is_told_how_much_came() -> None:
    reader, transport = Reader("here", watching("pb_x", ["up"])), Wire()
    reader.connection_made(transport)  # type: ignore[arg-type]
    reader.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    for text in (b'{"type":"welcome","ack_ms":1}', b'{"type":"snapshot","id":1}'):
        reader.data_received(bytes([0x81, len(text)]) + text)
    await reader.ready
    await aeventually(lambda: b'{"type":"ack","frames":2}' in transport.written)


async def test_a_watch_that_goes_on_is_ready_without_a_snapshot() -> None:
    greeting = watching("pb_x", ["up", "down"], cursors={1: "0000abcd:7"})
    assert greeting.answers == 2
    assert b'"cursor": "0000abcd:7"' in greeting.frame_bytes()


@contextmanager
def somebody_else() -> Iterator[int]:
    """The port of a web server that is not Pulseboard."""

    class NotFound(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), NotFound)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
