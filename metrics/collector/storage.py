"""Disks and file systems, by psutil."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import psutil

from metrics.collector.readings import counter, gauge
from metrics.samples import Sample

MS_PER_SECOND = 1000

# Partitions repeat their disk's numbers; loop, RAM and optical devices say nothing of it.
NOT_A_DISK = re.compile(
    r"(?:loop|ram|zram|fd|sr)\d+|(?:sd|hd|vd|xvd)[a-z]+\d+|(?:nvme\d+n\d+|mmcblk\d+)p\d+"
)
# Images that are always full, and the parts of macOS's own volume group.
NOT_STORAGE = frozenset({"squashfs", "iso9660", "udf", "erofs", "cramfs"})
NOT_OURS = ("/System/Volumes/", "/private/var/vm", "/snap/", "/boot/efi")


class Mount(NamedTuple):
    """A file system and where it is mounted."""

    device: str
    fstype: str
    mountpoint: str


def disks(now_ms: int) -> Iterator[Sample]:
    """Bytes, operations and busy time of every disk."""
    for device, read in psutil.disk_io_counters(perdisk=True, nowrap=False).items():
        if NOT_A_DISK.fullmatch(device):
            continue
        for name, value in (
            ("read_bytes", read.read_bytes),
            ("written_bytes", read.write_bytes),
            ("reads_completed", read.read_count),
            ("writes_completed", read.write_count),
            ("read_time_seconds", read.read_time / MS_PER_SECOND),
            ("write_time_seconds", read.write_time / MS_PER_SECOND),
        ):
            yield counter(f"node_disk_{name}_total", value, now_ms, device=device)
        busy_ms = getattr(read, "busy_time", None)  # Linux and FreeBSD only
        if busy_ms is not None:
            seconds = busy_ms / MS_PER_SECOND
            yield counter("node_disk_io_time_seconds_total", seconds, now_ms, device=device)


class FileSystems:
    """The part that measures file systems: real ones, `/`, and those that hold `folders`.

    Which there are is looked up every `LOOK_UP_MS`, how full they are every time.
    """

    LOOK_UP_MS = 30_000

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders
        self._mounts: list[Mount] = []
        self._looked_up_ms: int | None = None

    def __call__(self, now_ms: int) -> Iterator[Sample]:
        if self._looked_up_ms is None or abs(now_ms - self._looked_up_ms) >= self.LOOK_UP_MS:
            self._mounts = mounts(self._folders)
            self._looked_up_ms = now_ms
        for mount in self._mounts:
            yield from _usage(mount, now_ms)


def _usage(mount: Mount, now_ms: int) -> Iterator[Sample]:
    try:
        found = os.statvfs(mount.mountpoint)
    except OSError:
        return  # unmounted since it was looked up, or not ours to see
    unit_bytes = found.f_frsize
    used, for_users = found.f_blocks - found.f_bfree, found.f_bavail
    for name, value in (
        ("size_bytes", found.f_blocks * unit_bytes),
        ("free_bytes", found.f_bfree * unit_bytes),
        ("avail_bytes", for_users * unit_bytes),
        ("files", found.f_files),
        ("files_free", found.f_ffree),
    ):
        yield gauge(f"node_filesystem_{name}", value, now_ms, **mount._asdict())
    # As df counts: what only root may fill is neither used nor available.
    if used + for_users:
        yield gauge(
            "machine_filesystem_used_ratio",
            used / (used + for_users),
            now_ms,
            mountpoint=mount.mountpoint,
        )


def mounts(folders: Sequence[str]) -> list[Mount]:
    """The file systems worth showing, each once, shortest mount point first.

    In a container `/` is an overlay and the data folder often a volume; neither counts as a real
    file system there, so they are added whatever they are.
    """
    real = [mount for mount in _partitions(every=False) if _is_storage(mount)]
    every = _partitions(every=True)
    named = [_holding(folder, every) for folder in ("/", *folders)]
    found: dict[str, Mount] = {}
    for mount in sorted({*real, *filter(None, named)}, key=lambda m: (len(m.mountpoint), m)):
        found.setdefault(_space(mount), mount)
    return list(found.values())


def _space(mount: Mount) -> str:
    """What is the same for mounts that share their space, such as a bind mount and its origin."""
    # Only a device file says so: every overlay calls its device "overlay".
    return mount.device if mount.device.startswith("/") else mount.mountpoint


def _partitions(every: bool) -> list[Mount]:
    found = psutil.disk_partitions(all=every)
    return [Mount(part.device, part.fstype, part.mountpoint) for part in found]


def _is_storage(mount: Mount) -> bool:
    return (
        mount.fstype not in NOT_STORAGE
        and not mount.mountpoint.startswith(NOT_OURS)
        and os.path.isdir(mount.mountpoint)  # containers mount single files: /etc/hosts
    )


def _holding(folder: str, every: Sequence[Mount]) -> Mount | None:
    """The mount that `folder` lies in: the last one made of those with the longest path."""
    path = os.path.realpath(folder)
    above = [m for m in every if path == m.mountpoint or path.startswith(_slashed(m.mountpoint))]
    return max(reversed(above), key=lambda m: len(m.mountpoint), default=None)


def _slashed(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"
