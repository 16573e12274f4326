"""Several serving processes on one port: started, replaced when they die, and ended together.

The supervisor serves nothing itself. It holds the listening socket, which its children inherit:
a connection that comes while one of them ends waits for another, and is not refused.

- A child that dies is replaced; one that dies again and again is given a growing pause.
- SIGTERM, SIGINT: every child drains; the second signal kills them.
- SIGHUP: rolling restart. For each child a new one is started, with the code and settings files of
  now; when it answers, the old one drains. One that does not get ready leaves the old one in place.
- When the supervisor dies, however, its children drain and leave (`child.py`).

One child collects this machine's numbers, and of each number (slot) only one child at a time
publishes its own: the old one says `left` before the new one is told `measure`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from dashboard.child import COLLECT, LEAVE, LEFT, MEASURE, READY, Assignment
from dashboard.children import Child, has_terminal, how_it_ended, pause_after
from dashboard.leaving import STOP_TIMEOUT_S

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 120.0  # a busy machine, and a long log to read
KILL_AFTER_S = STOP_TIMEOUT_S + 0.1  # a child ends by itself before that
KILLED_TIMEOUT_S = 2.0  # one that waits for a disk ends when the disk has answered
LEAVE_TIMEOUT_S = 60.0  # one whose place is taken may let its clients go one by one
STEADY_S = 10.0  # a child that lived so long is replaced at once


class StartFailed(Exception):
    """A child ended before it was ready; it has said why. The message is a sentence."""


class Supervisor:
    """`command` starts one child when an option --child with its assignment is added to it.

    `on_ready` is called once, when all of them answer; `on_roll` when a rolling restart begins
    (True) and when it is over. `linger_s` is what each child's stop takes longer (DRAIN_SECONDS).
    """

    def __init__(
        self,
        command: list[str],
        listener: socket.socket,
        workers: int,
        *,
        collect: bool = True,
        linger_s: float = 0.0,
        on_ready: Callable[[], None] = lambda: None,
        on_roll: Callable[[bool], None] = lambda rolling: None,
    ) -> None:
        self._command = command
        self._listener = listener
        self._slots = range(1, workers + 1)
        self._collects = collect
        self._linger_s = linger_s
        self._on_ready = on_ready
        self._on_roll = on_roll
        self._alive: list[Child] = []
        self._current: dict[int, Child] = {}
        self._locks = {slot: asyncio.Lock() for slot in self._slots}
        self._failures = dict.fromkeys(self._slots, 0)
        self._collector: Child | None = None
        self._stop = asyncio.Event()
        self._roll = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tasks_of_children: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises StartFailed."""
        self._hear_signals(asyncio.get_running_loop())
        try:
            for slot in self._slots:
                event = "Pulseboard started" if slot == 1 else ""
                self._current[slot] = await self._spawn(slot, event)
            if await self._wait_for_start():
                self._on_ready()
                self._tasks |= {asyncio.create_task(self._keep(slot)) for slot in self._slots}
                self._tasks.add(asyncio.create_task(self._roll_when_told()))
                await self._stop.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._end(self._alive)

    def _hear_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        terminal = has_terminal()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up, terminal)

    def stop(self) -> None:
        """Begin to stop; a second call kills."""
        if self._stop.is_set():
            for child in self._alive:
                child.signal(signal.SIGKILL)
        self._stop.set()

    def roll(self) -> None:
        """Begin a rolling restart, or another one after that which is under way."""
        self._roll.set()

    def _hung_up(self, had_terminal: bool) -> None:
        """SIGHUP also says that the terminal is gone: then nobody is there to serve for."""
        if had_terminal and not has_terminal():
            self.stop()
        else:
            self.roll()

    async def _wait_for_start(self) -> bool:
        """Until all are ready; False when it is stopped first. Raises StartFailed."""
        ready = [asyncio.ensure_future(self._becomes_ready(c)) for c in self._current.values()]
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {*ready, stopped}
            while not stopped.done() and not all(one.done() for one in ready):
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if any(not one.result() for one in done):
                    raise StartFailed("A serving process ended before it was ready (see above).")
        finally:
            for one in (*ready, stopped):
                one.cancel()
        return not self._stop.is_set()

    async def _becomes_ready(self, child: Child) -> bool:
        """Waits until it answers; False when it ends, or takes too long, first."""
        waits = [asyncio.ensure_future(event.wait()) for event in (child.ready, child.ended)]
        try:
            await asyncio.wait(waits, timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return child.ready.is_set() and not child.ended.is_set()

    # -- children ------------------------------------------------------------------------------

    async def _spawn(self, slot: int, event: str) -> Child:
        ours, theirs = socket.socketpair()
        with theirs:
            given = Assignment(os.getpid(), self._listener.fileno(), theirs.fileno(), slot, event)
            process = await asyncio.create_subprocess_exec(
                *self._command,
                "--child",
                given.to_json(),
                stdin=subprocess.DEVNULL,
                pass_fds=(given.listener, given.leash),
                process_group=0,  # Ctrl-C is for the supervisor alone
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        child = Child(slot, process, writer)
        self._alive.append(child)
        self._run(self._hear(child, reader))
        self._run(self._see_end(child))
        return child

    async def _hear(self, child: Child, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            async for line in reader:
                word = line.decode().strip()
                if word == READY:
                    child.ready.set()
                elif word == LEFT:
                    child.left = True
                self._assign()

    async def _see_end(self, child: Child) -> None:
        await child.process.wait()
        child.left = True
        self._alive.remove(child)
        child.close()
        child.ended.set()
        self._assign()

    def _run(self, job: Coroutine[Any, Any, None]) -> None:
        """These end with the children, not with the supervisor's own work."""
        task = asyncio.create_task(job)
        self._tasks_of_children.add(task)
        task.add_done_callback(self._tasks_of_children.discard)

    def _assign(self) -> None:
        """Sees that each slot measures itself and that one child collects."""
        if self._stop.is_set():
            return
        serving = [child for child in self._current.values() if child.is_serving()]
        for child in serving:
            before = [c for c in self._alive if c.slot == child.slot and c is not child]
            if all(other.left for other in before):
                child.tell(MEASURE)
        if self._collects and (self._collector is None or self._collector.left) and serving:
            self._collector = serving[0]
            self._collector.tell(COLLECT)

    async def _keep(self, slot: int) -> None:
        """Replaces the slot's child whenever it dies."""
        while True:
            child = self._current[slot]
            await child.ended.wait()
            async with self._locks[slot]:
                if child is not self._current[slot]:
                    continue  # a rolling restart has replaced it
                lived_s = time.monotonic() - child.began_s
                self._failures[slot] = 0 if lived_s > STEADY_S else self._failures[slot] + 1
                pause_s = pause_after(self._failures[slot])
                logger.error(
                    "process %d (pid %d) ended, %s: another is started%s",
                    slot,
                    child.pid,
                    how_it_ended(child.process.returncode),
                    f" in {pause_s:g} s" if pause_s else "",
                )
                await asyncio.sleep(pause_s)
                event = f"Pulseboard's process {slot} was started again"
                self._current[slot] = await self._spawn(slot, event)

    async def _roll_when_told(self) -> None:
        while True:
            await self._roll.wait()
            self._roll.clear()
            self._on_roll(True)
            for slot in self._slots:
                async with self._locks[slot]:
                    if not await self._replace(slot):
                        break
            self._on_roll(False)

    async def _replace(self, slot: int) -> bool:
        """A new child for the old one; False when the new one did not get ready."""
        old = self._current[slot]
        new = await self._spawn(slot, "Pulseboard restarted" if slot == 1 else "")
        if not await self._becomes_ready(new):
            logger.error(
                "the new process %d did not get ready: the old one (pid %d) goes on, and the "
                "rolling restart ends here",
                slot,
                old.pid,
            )
            await self._end([new])
            return False
        self._current[slot] = new
        old.tell(LEAVE)
        await self._until_ended([old], LEAVE_TIMEOUT_S)
        return True

    async def _end(self, children: Iterable[Child]) -> None:
        """Has them stop at once; kills what has not ended in time."""
        leaving = list(children)
        for child in leaving:
            child.signal(signal.SIGTERM)
        await self._until_ended(leaving, KILL_AFTER_S + self._linger_s)

    async def _until_ended(self, leaving: list[Child], timeout_s: float) -> None:
        ends = [asyncio.ensure_future(child.ended.wait()) for child in leaving]
        if not ends:
            return
        _, late = await asyncio.wait(ends, timeout=timeout_s)
        if late:
            for child in leaving:
                child.signal(signal.SIGKILL)
            _, late = await asyncio.wait(late, timeout=KILLED_TIMEOUT_S)
            for child in leaving if late else ():
                if not child.ended.is_set():
                    logger.error("pid %d was killed and has not ended: it is left", child.pid)
