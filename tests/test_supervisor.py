"""The supervisor, with children that only pretend to serve and write down what they are told."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from dashboard.children import LONGEST_PAUSE_S, how_it_ended, pause_after
from dashboard.listener import listen
from dashboard.supervisor import StartFailed, Supervisor
from tests.support.waiting import DEADLINE_S, aeventually

# Says it is ready unless the file "broken" is there; leaves when it is told to, but holds on to its
# numbers until there is a file "let-go".
PRETENDER = """
import json, os, signal, socket, sys, threading
folder, given = sys.argv[1], json.loads(sys.argv[-1])
leash = socket.socket(fileno=given["leash"])
def note(word):
    with open(os.path.join(folder, "said"), "a") as file:
        file.write(f"{given['slot']} {os.getpid()} {word}\\n")
def leave(*_):
    note("leaving")
    while not os.path.exists(os.path.join(folder, "let-go")):
        threading.Event().wait(0.01)
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
if os.path.exists(os.path.join(folder, "broken")):
    sys.exit(7)
note("began")
leash.sendall(b"ready\\n")
def listen():
    for line in leash.makefile("r"):
        note(line.strip())
        if line.strip() == "leave":
            os.kill(os.getpid(), signal.SIGTERM)
    os._exit(0)
threading.Thread(target=listen, daemon=True).start()
while True:
    signal.pause()
"""

Said = list[tuple[int, int, str]]


class Theatre:
    """A supervisor that runs, and what its children wrote down."""

    def __init__(self, folder: Path, workers: int, collect: bool = True) -> None:
        self.folder = folder
        self.ready = asyncio.Event()
        self.rolling: list[bool] = []
        program = folder / "pretender.py"
        program.write_text(PRETENDER)
        (folder / "let-go").touch()
        self._listener = listen("127.0.0.1", 0)
        self.supervisor = Supervisor(
            [sys.executable, str(program), str(folder)],
            self._listener,
            workers,
            collect=collect,
            on_ready=self.ready.set,
            on_roll=self.rolling.append,
        )

    @property
    def said(self) -> Said:
        path = self.folder / "said"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(slot), int(pid), word) for slot, pid, word in map(str.split, lines)]

    def who(self, word: str) -> list[tuple[int, int]]:
        """Slot and process of all who wrote this word, in order."""
        return [(slot, pid) for slot, pid, said in self.said if said == word]

    def close(self) -> None:
        self._listener.close()


@asynccontextmanager
async def running(folder: Path, workers: int = 2, collect: bool = True) -> AsyncIterator[Theatre]:
    theatre = Theatre(folder, workers, collect)
    task = asyncio.create_task(theatre.supervisor.run())
    try:
        await aeventually(lambda: theatre.ready.is_set() or task.done())
        yield theatre
    finally:
        (folder / "let-go").touch()
        theatre.supervisor.stop()
        await asyncio.wait_for(task, DEADLINE_S)
        theatre.close()
    assert not [pid for _, pid in theatre.who("began") if psutil.pid_exists(pid)]


async def test_a_child_that_cannot_start_ends_the_start(folder: Path) -> None:
    (folder / "broken").touch()
    theatre = Theatre(folder, 2)
    with pytest.raises(StartFailed, match="before it was ready"):
        await asyncio.wait_for(theatre.supervisor.run(), DEADLINE_S)
    assert not theatre.ready.is_set()
    theatre.close()


async def test_a_new_one_that_cannot_start_leaves_the_old_ones_serving(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(folder) as theatre:
        (folder / "broken").touch()
        theatre.supervisor.roll()
        await aeventually(lambda: theatre.rolling == [True, False])
        assert "did not get ready: the old one" in caplog.text
        assert len(theatre.who("began")) == 2
        assert theatre.who("leaving") == []


async def test_one_child_is_told_to_collect_and_each_to_measure_itself(folder: Path) -> None:
    async with running(folder, 3) as theatre:
        await aeventually(lambda: len(theatre.who("measure")) == 3)
        assert {slot for slot, _ in theatre.who("measure")} == {1, 2, 3}
        await aeventually(lambda: theatre.who("collect"))
    assert len(theatre.who("collect")) == 1


async def test_without_a_collector_nobody_is_told_to_collect(folder: Path) -> None:
    async with running(folder, collect=False) as theatre:
        await aeventually(lambda: len(theatre.who("measure")) == 2)
    assert theatre.who("collect") == []


async def test_when_the_collector_dies_another_collects_and_a_new_one_takes_its_place(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(folder) as theatre:
        await aeventually(lambda: theatre.who("collect"))
        slot, dead = theatre.who("collect")[0]
        os.kill(dead, signal.SIGKILL)
        await aeventually(lambda: len(theatre.who("collect")) == 2)
        assert theatre.who("collect")[1][1] != dead
        await aeventually(lambda: len(theatre.who("began")) == 3)
        assert theatre.who("began")[2][0] == slot
        assert f"process {slot} (pid {dead}) ended, killed by signal 9" in caplog.text


async def test_a_rolling_restart_replaces_one_after_the_other(folder: Path) -> None:
    async with running(folder, 3) as theatre:
        before = dict(theatre.who("began"))
        theatre.supervisor.roll()
        await aeventually(lambda: theatre.rolling == [True, False])
        told = [(slot, word) for slot, _, word in theatre.said if word in ("began", "leave")]
    assert sorted(told[:3]) == [(1, "began"), (2, "began"), (3, "began")]
    # A new one begins before the old one is told to leave, and that before the next new one.
    assert told[3:] == [(slot, word) for slot in (1, 2, 3) for word in ("began", "leave")]
    assert {pid for _, pid in theatre.who("leave")} == set(before.values())


async def test_of_one_slot_two_never_measure_at_once(folder: Path) -> None:
    async with running(folder) as theatre:
        await aeventually(lambda: len(theatre.who("measure")) == 2)
        (folder / "let-go").unlink()
        theatre.supervisor.roll()
        await aeventually(lambda: theatre.who("leaving"))
        assert len(theatre.who("measure")) == 2, "the old one has not let go yet"
        (folder / "let-go").touch()
        await aeventually(lambda: len(theatre.who("measure")) == 4)


async def test_a_second_stop_kills_who_does_not_leave(folder: Path) -> None:
    async with running(folder) as theatre:
        (folder / "let-go").unlink()
        theatre.supervisor.stop()
        await aeventually(lambda: len(theatre.who("leaving")) == 2)
        theatre.supervisor.stop()
        pids = [pid for _, pid in theatre.who("began")]
        await aeventually(lambda: not any(map(alive, pids)))


def alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_one_that_dies_again_and_again_is_given_a_growing_pause() -> None:
    pauses = [pause_after(failures) for failures in range(12)]
    assert pauses[:5] == [0, 0, 0.5, 1, 2]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S


@pytest.mark.parametrize(
    ("status", "words"), [(-9, "killed by signal 9"), (1, "with status 1"), (0, "with status 0")]
)
def test_how_a_child_ended_is_said_in_words(status: int, words: str) -> None:
    assert how_it_ended(status) == words
