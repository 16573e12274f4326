"""The benchmarks run, say what they measured and leave nothing behind; how fast is not asked."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from benchmarks import forms, installing, late, peers, results, run, storage, systems, walks
from benchmarks.peer import Peer
from benchmarks.processes import Helper
from benchmarks.publisher import Plan
from benchmarks.report import Report
from benchmarks.scale import TINY
from benchmarks.sockets import Fleet, Greeting, Socket
from benchmarks.systems import Running, System
from dashboard import binary_frames
from dashboard.binary_frames import UPDATE, Grid
from tests.support.waiting import aeventually


class Wire:
    """A transport that only remembers."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        pass

    abort = close


def text_frame(payload: str) -> bytes:
    data = payload.encode()
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
    return b"\x81" + length + data


def update(value: float) -> bytes:
    row = ",".join(["1.5"] * 50 + [str(value)])  # longer than a short frame
    return text_frame(f'{{"type":"update","id":1,"times":[1,2],"values":[[{row}],[7]]}}')


async def open_socket(**options: Any) -> tuple[Socket, Wire]:
    socket, wire = Socket(1, Greeting([{"type": "hello"}], 1), **options), Wire()
    socket.connection_made(wire)  # type: ignore[arg-type]
    socket.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + text_frame('{"type":"welc'))
    return socket, wire


async def test_a_refused_handshake_is_said_and_not_waited_for() -> None:
    socket = Socket(1, Greeting([], 1))
    socket.connection_made(Wire())  # type: ignore[arg-type]
    socket.data_received(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    with pytest.raises(ConnectionError, match="403"):
        await socket.ready


async def test_a_socket_that_the_server_closes_is_an_error() -> None:
    socket, _ = await open_socket()
    socket.data_received(b"\x88\x04\x0f\xa1no")
    with pytest.raises(ConnectionError, match="no"):
        await socket.ready


async def test_frames_are_counted_however_they_are_cut() -> None:
    socket, _ = await open_socket()
    socket.looking = True
    for byte in update(10.0) + update(20.0):
        socket.data_received(bytes([byte]))
    socket.data_received(update(30.0) + update(30.0))
    assert socket.frames == 5  # with the one of the greeting
    assert socket.values == [10.0, 20.0, 30.0]


async def test_of_a_binary_update_the_newest_value_is_read() -> None:
    socket, _ = await open_socket()
    socket.looking = True
    grid = Grid(UPDATE, np.array([1, 2]), np.array([[1.0, 40.0], [7.0, 8.0]]), [], 1000)
    payload = binary_frames.encode(grid, "0000abcd:1", 1)
    for byte in b"\x82" + bytes([len(payload)]) + payload:
        socket.data_received(bytes([byte]))
    assert socket.values == [40.0]


async def test_a_ping_is_answered() -> None:
    socket, wire = await open_socket()
    before = len(wire.written)
    socket.data_received(b"\x89\x02hi")
    assert wire.written[before:] == b"\x8a\x82\0\0\0\0hi"


async def test_a_value_that_was_replaced_counts_until_the_newer_one_came() -> None:
    socket, _ = await open_socket()
    socket.values, socket.arrivals_ms = [100.0, 300.0], [105.0, 340.0]
    fleet = Fleet(1)
    fleet.sockets = [socket]
    latencies_ms, superseded, lost = fleet.latencies_ms([100.0, 200.0, 300.0, 400.0])
    assert latencies_ms == [5.0, 140.0, 40.0]
    assert (superseded, lost) == (1, 1)


@pytest.fixture
def without_rivals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of others is installed, nor would be."""

    def refuse(*command: object) -> None:
        raise installing.CannotInstall("there is no network")

    monkeypatch.setattr(shutil, "which", lambda program: None)
    monkeypatch.setattr(installing, "_run", refuse)
    monkeypatch.setattr(installing, "FOLDER", Path("/nowhere"))


@pytest.mark.slow
def test_a_benchmark_measures_real_servers_and_stops_them(without_rivals: None) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    found = run.measure("fanout", TINY, quiet=True).as_json()
    assert found["figures"]
    assert all(figure["min"] >= 0 for figure in found["figures"]), found["figures"]
    notes = " ".join(found["notes"])
    assert "node ws was not measured: node and npm are not installed" in notes
    assert "nchan was not measured: nginx or its nchan module is not installed" in notes
    assert "python-socketio was not measured: there is no network" in notes
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["delivery", "many_sockets", "stuck_readers", "forms"])
def test_delivery_is_measured(name: str) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    found = run.measure(name, TINY, quiet=True).as_json()
    assert found["figures"]
    for figure in found["figures"]:
        assert figure["min"] >= 0 or "memory" in figure["name"], figure
    assert not [note for note in found["notes"] if "never came" in note], found["notes"]
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


@pytest.mark.slow
@pytest.mark.parametrize("system", systems.SYSTEMS, ids=lambda system: system.name)
def test_whoever_is_compared_gets_every_browser_its_frames(system: System, tmp_path: Path) -> None:
    if not installing.FOLDER.exists() and "ours" not in system.name:
        pytest.skip("benchmarks/run.py has not installed the others here")
    try:
        with system.start(tmp_path) as running:
            frames, newest = asyncio.run(watch(running))
    except installing.CannotInstall as error:
        pytest.skip(str(error))
    assert min(frames) >= systems.PANELS
    assert all(newest)


async def watch(running: Running) -> tuple[list[int], list[bool]]:
    """Three browsers, for which is published for a moment."""
    fleet = Fleet(running.server.port)
    await fleet.open(3, running.greeting)
    fleet.track()
    before = [socket.frames for socket in fleet.sockets]
    port, token = running.server.port, running.token
    plan = Plan(running.how, 0.5, 20.0, port, token, systems.PANELS, running.lines)
    with Helper("benchmarks.publisher", plan.arguments(), running.server.folder) as helper:
        sent_ms = json.loads(await asyncio.to_thread(helper.output))["sent_ms"]
        await aeventually(lambda: all(one.values[-1:] == sent_ms[-1:] for one in fleet.sockets))
    came = [one.frames - had for one, had in zip(fleet.sockets, before, strict=True)]
    fleet.close()
    return came, [bool(socket.values) for socket in fleet.sockets]


def test_compressed_frames_are_smaller_and_come_back() -> None:
    frames = [f'{{"type":"update","id":{n},"values":[[1.5]]}}'.encode() for n in range(50)]
    found = forms.deflated(frames)
    assert found.bytes < sum(map(len, frames)) / 2
    assert found.deflate_us > 0


NEW = ("sustained", "storage", "reading", "many_series", "late", "waiting")


@pytest.mark.slow
@pytest.mark.parametrize("name", NEW)
def test_storing_is_measured_without_peers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    monkeypatch.setattr(late, "ORDERS", {"all": "all scattered over 7 days"})
    monkeypatch.setattr(storage, "KINDS", {"counter": "counters"})
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    found = run.measure(name, TINY, quiet=True).as_json()
    assert found["figures"]
    assert all(figure["min"] >= 0 for figure in found["figures"]), found["figures"]
    if name in ("storage", "reading"):
        assert "Prometheus was not measured: it is not installed" in " ".join(found["notes"])
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


@pytest.mark.slow
@pytest.mark.parametrize("kind", peers.PEERS)
def test_a_peer_gives_back_what_it_was_fed(kind: type[Peer], tmp_path: Path) -> None:
    if not kind.is_there():
        pytest.skip(f"{kind.name} is not installed")
    end_ms = int(time.time()) // 60 * 60_000
    lines = [walks.gauge(number, end_ms, 600) for number in range(2)]
    with peers.running([kind], tmp_path, lines) as found:
        path = found[0].query(walks.GAUGE, end_ms - 300_000, end_ms, 30_000)
        status, answer = found[0].get(path)
        assert status == 200
        assert 2 * 10 <= found[0].points(answer) <= 2 * 11
        pid = found[0].pid
        assert found[0].bytes_of_data() > 0
    assert not psutil.pid_exists(pid)


def test_a_peer_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        peers.VictoriaMetrics,
        "_command",
        lambda self: ["sh", "-c", "echo the disk is full; exit 1"],
    )
    with (
        pytest.raises(RuntimeError, match="VictoriaMetrics did not start: the disk is full"),
        peers.VictoriaMetrics(tmp_path / "peer"),
    ):
        pass


def test_the_same_samples_are_stored_every_time() -> None:
    one, again = walks.gauge(3, 1_790_000_000_000, 500), walks.gauge(3, 1_790_000_000_000, 500)
    assert np.array_equal(one.values, again.values)
    assert np.array_equal(one.values, one.values.round(2))
    assert int(one.times[-1]) == 1_790_000_000_000
    assert len(one.since(1_790_000_000_000 - 10_000).times) == 10
    assert (np.diff(walks.counter(3, 1_790_000_000_000, 500).values) >= 0).all()


@pytest.mark.parametrize("order", ["", "shuffled", "tenth", "all"])
def test_samples_out_of_order_are_the_same_samples(order: str) -> None:
    places = late._places(50_000, order)
    assert np.array_equal(np.sort(places), np.arange(50_000))
    moved = np.abs(places - np.arange(50_000))
    if order == "shuffled":
        assert 0 < moved.max() <= late.WINDOW
    if order == "tenth":
        assert 0.08 < np.count_nonzero(moved) / len(moved) < 0.12


def test_the_page_shows_the_newest_full_figures_of_each_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(results, "PAGE", tmp_path / "page.md")
    results.PAGE.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n")
    with pytest.raises(SystemExit, match="no full result"):
        results.refresh_page()
    kept = (
        ("2026-01-01", "full", "stop", 1, None),
        ("2026-01-02", "full", "start", 2, None),
        ("2026-01-03", "full", "start", 3, ["start"]),
        ("2026-01-04", "quick", "start", 4, None),
    )
    for date, scale, name, value, only in kept:
        report = Report(name, name.title(), quiet=True)
        report.add(f"to the {name}", "s", value)
        results.keep(result(date, scale, report), only)
    results.refresh_page()
    page = results.PAGE.read_text()
    assert "| to the start | 3 | 3 | 3 | s |" in page
    assert "| to the stop | 1 | 1 | 1 | s |" in page
    assert page.count("| to the ") == 2
    assert "old" not in page
    assert page.startswith("before\n") and page.endswith("\nafter\n")


def result(date: str, scale: str, report: Report) -> dict[str, Any]:
    described = ("cores", "cpu", "memory_gib", "system", "python", "sqlite")
    machine: dict[str, Any] = dict.fromkeys(described, "x")
    machine |= {"disk_sync_us": 150.0, "versions": {}}
    content = {"date": date, "commit": "abc1234", "scale": scale, "machine": machine}
    return {**content, "others_busy_percent": 1.0, "benchmarks": {report.name: report.as_json()}}
