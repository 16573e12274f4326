"""Pulseboard's own numbers, published each second as ordinary metrics.

What the parts of this process count in `metrics.stats` becomes `pulseboard_<name>`; the process
itself is measured under the names that Prometheus's client libraries use (`process_*`). Of several
processes each gives its own a label `process`. The dashboard "Pulseboard itself" draws them, added
up where that means something.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import platform
from collections.abc import Iterable, Iterator

import psutil
from asgiref.sync import sync_to_async
from django.db import DatabaseError
from msgspec.structs import replace

from metrics import publish, stats
from metrics.catalog import Description
from metrics.clock import now_ms
from metrics.collector import Collector, Machine
from metrics.collector.readings import counter, gauge
from metrics.refused import Refused
from metrics.samples import Sample
from metrics.stats import Snapshot

logger = logging.getLogger(__name__)

PREFIX = "pulseboard_"
QUANTILES = ("0.5", "0.99")

COUNTERS = {
    "frames_sent_total": ("count", "Frames sent to browsers."),
    "snapshots_drawn_total": ("count", "Snapshots evaluated; one that many get counts once."),
    "bytes_sent_total": ("bytes", "Bytes of the frames sent to browsers."),
    "samples_total": ("count", "Samples stored, from all publishers of this process."),
    "batches_total": ("count", "Commits to the log."),
    "dropped_samples_total": ("count", "Samples lost before the log because a buffer was full."),
    "foreign_origins_total": ("count", "Sockets refused to pages of other sites."),
    "sealed_samples_total": ("count", "Samples moved from the log into chunks."),
    "rolled_chunks_total": ("count", "Chunks summed up into rollups."),
}
GAUGES = {
    "connections": ("count", "Open live connections."),
    "watches": ("count", "Panels watched over all connections."),
    "live_queries": ("count", "Different queries that are kept up to date."),
    "people": ("count", "People and tokens on some dashboard, each counted once a process."),
    "head_samples": ("count", "Recent samples in memory."),
    "head_series": ("count", "Series with recent samples in memory."),
    "log_batches": ("count", "Batches in the log."),
    "log_bytes": ("bytes", "Size of the log."),
    "database_bytes": ("bytes", "Size of the database without what is free in it."),
    "database_free_bytes": ("bytes", "Space in a SQLite database that is free for what comes."),
    "unsealed_samples": ("count", "Samples in the log that are not in chunks yet."),
    "read_seconds": ("seconds", "Time to read history; quantiles of the last 10 s."),
    "commit_seconds": ("seconds", "Time to make a batch durable; quantiles of the last 10 s."),
    "publish_to_frame_seconds": (
        "seconds",
        "Time from a sample's arrival to its frame being sent; quantiles of the last 10 s.",
    ),
}
OF_A_PROCESS = (
    "connections", "watches", "live_queries", "people", "head_samples", "head_series",
)  # fmt: skip
PROCESS = {
    "process_cpu_seconds_total": Description("counter", "seconds", "Processor time used."),
    "process_resident_memory_bytes": Description("gauge", "bytes", "Memory in use."),
    "process_open_fds": Description("gauge", "count", "Open files and sockets."),
    "process_start_time_seconds": Description(
        "gauge", "seconds", "When the process started, since 1970."
    ),
}
DESCRIPTIONS = {
    **{PREFIX + name: Description("counter", *said) for name, said in COUNTERS.items()},
    **{PREFIX + name: Description("gauge", *said) for name, said in GAUGES.items()},
    **PROCESS,
}


def own_samples(snapshot: Snapshot, now_ms: int) -> list[Sample]:
    """A snapshot as samples.

    Known counters are published from 0 on, so that their first increase shows; durations without
    an observation lately are not published.
    """
    counted = dict.fromkeys(COUNTERS, 0.0) | dict(snapshot.counters)
    samples = [counter(PREFIX + name, value, now_ms) for name, value in counted.items()]
    for name, value in snapshot.gauges.items():
        if math.isfinite(value):
            samples.append(gauge(PREFIX + name, value, now_ms))
    for name in snapshot.windows:
        for quantile in QUANTILES:
            seconds = snapshot.quantile(name, float(quantile))
            if seconds is not None and math.isfinite(seconds):
                samples.append(gauge(PREFIX + name, seconds, now_ms, quantile=quantile))
    return samples


def process_samples(now_ms: int) -> Iterator[Sample]:
    """This process's processor time, memory and open files."""
    process = psutil.Process()
    with process.oneshot():
        times = process.cpu_times()
        yield counter("process_cpu_seconds_total", times.user + times.system, now_ms)
        yield gauge("process_resident_memory_bytes", process.memory_info().rss, now_ms)
        yield gauge("process_start_time_seconds", process.create_time(), now_ms)
        yield gauge("process_open_fds", process.num_fds(), now_ms)


def told_apart(samples: Iterable[Sample], process: str) -> list[Sample]:
    """The samples of one of several processes, labelled; as they are when there is one."""
    if not process:
        return list(samples)
    return [replace(one, labels={**one.labels, "process": process}) for one in samples]


def last_samples(now_ms: int) -> list[Sample]:
    """What is true once a process has ended: without them its last values would count, and be
    added to those of the others, for as long as a sample is current."""
    return [gauge(PREFIX + name, 0, now_ms) for name in OF_A_PROCESS] + [
        gauge(name, 0, now_ms) for name in ("process_resident_memory_bytes", "process_open_fds")
    ]


async def run(stop: asyncio.Event, process: str = "", event: str = "Pulseboard started") -> None:
    """Publishes until `stop` is set; begins with an event, which explains a gap in the charts.

    `process` is the label of one of several; an empty `event` is none.
    """
    try:
        if event:
            await publish.aevent(event, f"Process {os.getpid()} on {platform.node()}.")
    except (DatabaseError, Refused):
        logger.warning("The event of the start could not be stored.", exc_info=True)
    measure = Machine(
        parts={
            "its own counters": lambda now_ms: told_apart(
                own_samples(stats.snapshot(), now_ms), process
            ),
            "its own process": lambda now_ms: told_apart(process_samples(now_ms), process),
        }
    )
    await Collector(measure, DESCRIPTIONS, name="publisher of own numbers").run(stop)
    try:
        await sync_to_async(publish.record, thread_sensitive=False)(
            told_apart(last_samples(now_ms()), process)
        )
    except (DatabaseError, Refused) as error:
        logger.warning("The last own numbers could not be stored: %s", error)
