"""Processors, memory, network, processes and the machine itself, by psutil."""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

from metrics.collector.readings import Ratchet, counter, gauge
from metrics.samples import Sample

CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
LARGEST_STEP_BACK_S = 3.0
BYTES_PER_KIB = 1024
PROC_STAT = Path("/proc/stat")
PROC_MEMINFO = Path("/proc/meminfo")
PROC_LOADAVG = Path("/proc/loadavg")

# Their names are made up anew for every container that starts: series without end.
PASSING_INTERFACES = re.compile(r"veth|cali[0-9a-f]|lxc[0-9a-f]|tap[0-9a-f]{8}")

_cpu_seconds = Ratchet(LARGEST_STEP_BACK_S)


def cpu(now_ms: int) -> Iterator[Sample]:
    """Seconds that each processor spent in each mode."""
    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        for mode in CPU_MODES:
            seconds = getattr(times, mode, None)
            if seconds is not None:
                held = _cpu_seconds.held((str(number), mode), seconds)
                yield counter("node_cpu_seconds_total", held, now_ms, cpu=str(number), mode=mode)


def activity(now_ms: int) -> Iterator[Sample]:
    """Context switches, interrupts, and how many processes run or wait for a disk."""
    counts = psutil.cpu_stats()
    yield counter("node_context_switches_total", counts.ctx_switches, now_ms)
    yield counter("node_intr_total", counts.interrupts, now_ms)
    if PROC_STAT.exists():
        numbers = _words_and_numbers(PROC_STAT, "procs_running", "procs_blocked", "processes")
        yield gauge("node_procs_running", numbers["procs_running"], now_ms)
        yield gauge("node_procs_blocked", numbers["procs_blocked"], now_ms)
        yield counter("node_forks_total", numbers["processes"], now_ms)


def load(now_ms: int) -> Iterator[Sample]:
    """Processes that run or wait to run, averaged over 1, 5 and 15 minutes."""
    for minutes, value in zip((1, 5, 15), os.getloadavg(), strict=True):
        yield gauge(f"node_load{minutes}", value, now_ms)


def memory(now_ms: int) -> Iterator[Sample]:
    """Memory and swap in bytes; the kernel's own numbers where it tells them."""
    sizes = _kernel_memory() if PROC_MEMINFO.exists() else _psutil_memory()
    for name, size_bytes in sizes.items():
        yield gauge(f"node_memory_{name}_bytes", size_bytes, now_ms)
    total, available = sizes["MemTotal"], min(sizes["MemAvailable"], sizes["MemTotal"])
    free = min(sizes["MemFree"], available)
    if total:
        yield gauge("machine_memory_used_ratio", (total - available) / total, now_ms)
    for state, size_bytes in (
        ("used", total - available),
        ("cache", available - free),
        ("free", free),
    ):
        yield gauge("machine_memory_bytes", size_bytes, now_ms, state=state)


def network(now_ms: int) -> Iterator[Sample]:
    """Bytes, packets, errors and drops of every interface that ever carried a packet."""
    for device, read in psutil.net_io_counters(pernic=True, nowrap=False).items():
        if PASSING_INTERFACES.match(device) or not read.packets_recv + read.packets_sent:
            continue
        for name, value in (
            ("receive_bytes", read.bytes_recv),
            ("receive_packets", read.packets_recv),
            ("receive_errs", read.errin),
            ("receive_drop", read.dropin),
            ("transmit_bytes", read.bytes_sent),
            ("transmit_packets", read.packets_sent),
            ("transmit_errs", read.errout),
            ("transmit_drop", read.dropout),
        ):
            yield counter(f"node_network_{name}_total", value, now_ms, device=device)


def processes(now_ms: int) -> Iterator[Sample]:
    """How many processes there are, and on Linux how many threads."""
    yield gauge("node_processes_pids", len(psutil.pids()), now_ms)
    if PROC_LOADAVG.exists():
        # "0.00 0.04 0.02 2/91 5554": of 91 threads, 2 run.
        threads = PROC_LOADAVG.read_text().split()[3].partition("/")[2]
        yield gauge("node_processes_threads", int(threads), now_ms)


def uptime(now_ms: int) -> Iterator[Sample]:
    """The time here, when the machine started, and the seconds between."""
    boot_s = psutil.boot_time()
    yield gauge("node_time_seconds", now_ms / 1000, now_ms)
    yield gauge("node_boot_time_seconds", boot_s, now_ms)
    yield gauge("machine_uptime_seconds", max(0.0, now_ms / 1000 - boot_s), now_ms)


def uname(now_ms: int) -> Iterator[Sample]:
    """1, with the names of the system and the machine as labels."""
    names = platform.uname()
    yield gauge(
        "node_uname_info",
        1,
        now_ms,
        sysname=names.system,
        release=names.release,
        version=names.version,
        machine=names.machine,
        nodename=names.node,
    )


def temperatures(now_ms: int) -> Iterator[Sample]:
    """Every sensor's temperature; nothing where there are none, as in most virtual machines."""
    if not hasattr(psutil, "sensors_temperatures"):
        return
    for chip, sensors in psutil.sensors_temperatures().items():
        for number, sensor in enumerate(sensors, start=1):
            if math.isfinite(sensor.current):
                yield gauge(
                    "node_hwmon_temp_celsius",
                    sensor.current,
                    now_ms,
                    chip=chip,
                    sensor=f"temp{number}",
                    **({"label": sensor.label} if sensor.label else {}),
                )


MEMORY_NAMES = (
    "MemTotal",
    "MemFree",
    "MemAvailable",
    "Buffers",
    "Cached",
    "SwapTotal",
    "SwapFree",
)


def _kernel_memory() -> dict[str, int]:
    # psutil counts reclaimable slabs as cached; here the numbers are to be node_exporter's.
    kib = _words_and_numbers(PROC_MEMINFO, *(f"{name}:" for name in MEMORY_NAMES))
    return {name: kib[f"{name}:"] * BYTES_PER_KIB for name in MEMORY_NAMES}


def _psutil_memory() -> dict[str, int]:
    found, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "MemTotal": found.total,
        "MemFree": found.free,
        "MemAvailable": found.available,
        "SwapTotal": swap.total,
        "SwapFree": swap.free,
    }


def _words_and_numbers(path: Path, *wanted: str) -> dict[str, int]:
    """The numbers behind the wanted first words of the lines of a kernel file.

    Raises ValueError naming the file and the first word that is missing.
    """
    found = {}
    for line in path.read_text().splitlines():
        word, _, rest = line.partition(" ")
        if word in wanted:
            found[word] = int(rest.split()[0])
    for word in wanted:
        if word not in found:
            raise ValueError(f"{path} has no line {word!r}")
    return found
