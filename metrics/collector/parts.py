"""All parts together: everything that is measured of this machine."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from metrics.collector import machine, storage
from metrics.collector.readings import Part, Seldom
from metrics.samples import Sample

logger = logging.getLogger(__name__)

SELDOM_MS = 10_000
HARDLY_EVER_MS = 60_000


def parts_of_this_machine(folders: Sequence[str]) -> dict[str, Part]:
    """Every part by the name that a log line calls it; `folders` as in storage.FileSystems."""
    return {
        "processors": machine.cpu,
        "processor activity": machine.activity,
        "load": machine.load,
        "memory": machine.memory,
        "network": machine.network,
        "disks": storage.disks,
        "file systems": storage.FileSystems(folders),
        "processes": machine.processes,
        "uptime": machine.uptime,
        "temperatures": Seldom(machine.temperatures, SELDOM_MS),
        "system names": Seldom(machine.uname, HARDLY_EVER_MS),
    }


class Machine:
    """Measures every part; a part that fails is logged once and the others go on.

    Called from one thread at a time.
    """

    def __init__(
        self, folders: Sequence[str] = (), parts: Mapping[str, Part] | None = None
    ) -> None:
        self._parts = parts_of_this_machine(folders) if parts is None else parts
        self._failed: set[str] = set()

    def __call__(self, now_ms: int) -> list[Sample]:
        """Everything there is to say about the moment `now_ms`, which all samples carry."""
        samples: list[Sample] = []
        for name, part in self._parts.items():
            try:
                samples += part(now_ms)
            except Exception as error:
                self._log_once(name, error)
        return samples

    def _log_once(self, name: str, error: Exception) -> None:
        if name not in self._failed:
            self._failed.add(name)
            logger.warning(
                "The collector cannot measure %s here and leaves them out: %s: %s",
                name,
                type(error).__name__,
                error,
            )


measure = Machine()
"""measure(now_ms) -> list[Sample]: everything, with the file system of `/` and the real ones."""
