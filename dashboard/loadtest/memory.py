"""How much memory the server takes, when it runs on this machine."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


def processes(port: int) -> list[psutil.Process]:
    """The processes of the server that listens on `port` here; none when it cannot be known."""
    try:
        pids = {
            found.pid
            for found in psutil.net_connections("tcp")
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port
        }
        family: dict[int, psutil.Process] = {}
        for pid in pids - {None}:
            for one in _family(psutil.Process(pid)):
                family[one.pid] = one
    except psutil.Error:
        return []
    return list(family.values())


def _family(process: psutil.Process) -> list[psutil.Process]:
    """With the supervisor above it and that one's other workers, if it has one."""
    parent = process.parent()
    if parent is not None and "serve" in parent.cmdline()[1:4]:
        process = parent
    return [process, *process.children(recursive=True)]


@dataclass
class Memory:
    """Resident bytes of all of the server's processes; 0: not known."""

    found: list[psutil.Process]
    before: int = 0
    most: int = 0
    now: int = 0

    def look(self) -> int:
        total = 0
        for process in self.found:
            try:
                total += process.memory_info().rss
            except psutil.Error:  # it has ended
                continue
        self.now = total
        self.before = self.before or total
        self.most = max(self.most, total)
        return total
