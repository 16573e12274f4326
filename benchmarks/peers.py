"""Other time series databases, measured in the same run where they are installed.

Each runs in a process of its own, pinned as our server is, on a free port of 127.0.0.1, with a
data folder of its own that starts empty. What is not on the PATH is left out with a sentence.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.peer import (
    FEED_TIMEOUT_S,
    QUIET_S,
    SETTLE_TIMEOUT_S,
    Peer,
    free_port,
    size_of,
    wait_until_still,
)
from benchmarks.processes import on_load_cores
from benchmarks.report import Report
from benchmarks.walks import Line

LINES_AT_ONCE = 10_000


class _PromQL(Peer):
    def query(self, metric: str, start_ms: int, end_ms: int, step_ms: int) -> str:
        asked = {
            "query": metric,
            "start": f"{start_ms / 1000:.3f}",
            "end": f"{end_ms / 1000:.3f}",
            "step": f"{step_ms / 1000:.3f}",
        }
        return f"/api/v1/query_range?{urlencode(asked)}"

    def points(self, answer: bytes) -> int:
        return sum(len(one["values"]) for one in json.loads(answer)["data"]["result"])


class Prometheus(_PromQL):
    """Fed before it starts: blocks made by promtool of OpenMetrics text."""

    name = "Prometheus"
    program = "prometheus"
    package = "prometheus"
    how_sized = "the blocks promtool made, one for up to 24 h, as after compaction"
    _ready = "/-/ready"

    @classmethod
    def is_there(cls) -> bool:
        return super().is_there() and shutil.which("promtool") is not None

    def _command(self) -> list[str]:
        (self.folder / "prometheus.yml").write_text("scrape_configs: []\n")
        return [
            self.program,
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]

    def feed(self, lines: Sequence[Line]) -> None:
        """It looks for new blocks only when it starts: it is started anew."""
        self.stop()
        text = self.folder / "samples.txt"
        with text.open("w") as file:
            for metric in dict.fromkeys(line.metric for line in lines):
                family = metric.removesuffix("_total")
                file.write(f"# TYPE {family} {'counter' if family != metric else 'gauge'}\n")
                for line in lines:
                    if line.metric == metric:
                        head = f'{metric}{{line="{line.label}"}} '
                        file.writelines(
                            f"{head}{value!r} {at / 1000!r}\n"
                            for at, value in zip(
                                line.times.tolist(), line.values.tolist(), strict=True
                            )
                        )
            file.write("# EOF\n")
        with on_load_cores():
            subprocess.run(
                ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=24h",
                 "openmetrics", str(text), str(self.folder / "data")],
                check=True, capture_output=True, timeout=FEED_TIMEOUT_S,
            )  # fmt: skip
        text.unlink()
        self.start()

    def bytes_of_data(self) -> int:
        """The blocks alone: its log of queries and the like are not data."""
        return sum(size_of(block.parent) for block in (self.folder / "data").glob("*/meta.json"))


class VictoriaMetrics(_PromQL):
    name = "VictoriaMetrics"
    program = "victoria-metrics"
    package = "victoria-metrics"
    how_sized = "its data and index folders after a forced merge and a stop"
    _ready = "/health"

    def _command(self) -> list[str]:
        return [
            self.program,
            f"-storageDataPath={self.folder / 'data'}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=2y",
            "-loggerLevel=ERROR",
        ]

    @classmethod
    def _version_command(cls) -> list[str]:
        # Debian's is built without its version: the package knows.
        return ["dpkg-query", "-W", cls.package]

    def feed(self, lines: Sequence[Line]) -> None:
        for line in lines:
            row = {
                "metric": {"__name__": line.metric, "line": line.label},
                "values": line.values.tolist(),
                "timestamps": line.times.tolist(),
            }
            self.post("/api/v1/import", json.dumps(row).encode())
        self.get("/internal/force_flush")

    def settle(self) -> None:
        self.get("/internal/force_merge")
        wait_until_still(self.folder / "data")

    def bytes_of_data(self) -> int:
        """Stopped, or some would still be in memory."""
        self.stop()
        return sum(size_of(self.folder / "data" / name) for name in ("data", "indexdb"))


class InfluxDB(Peer):
    name = "InfluxDB"
    program = "influxd"
    package = "influxdb"
    how_sized = "its data folder once its write-ahead log was compacted into it"
    _ready = "/ping"

    @classmethod
    def _version_command(cls) -> list[str]:
        return [cls.program, "version"]

    def _command(self) -> list[str]:
        config = self.folder / "influxdb.conf"
        config.write_text(
            f'reporting-enabled = false\nbind-address = "127.0.0.1:{free_port()}"\n'
            f'[meta]\ndir = "{self.folder / "meta"}"\n'
            f'[data]\ndir = "{self.folder / "data"}"\nwal-dir = "{self.folder / "wal"}"\n'
            'query-log-enabled = false\ncache-snapshot-write-cold-duration = "1s"\n'
            'compact-full-write-cold-duration = "1s"\n[monitor]\nstore-enabled = false\n'
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n'
            '[logging]\nlevel = "error"\n'
        )
        return [self.program, "-config", str(config)]

    def feed(self, lines: Sequence[Line]) -> None:
        self.post(f"/query?{urlencode({'q': 'CREATE DATABASE bench'})}", b"")
        for line in lines:
            head = f"{line.metric},line={line.label} value="
            for start in range(0, len(line.times), LINES_AT_ONCE):
                times = line.times[start : start + LINES_AT_ONCE].tolist()
                values = line.values[start : start + LINES_AT_ONCE].tolist()
                body = "".join(
                    f"{head}{value!r} {at}\n" for at, value in zip(times, values, strict=True)
                )
                self.post("/write?db=bench&precision=ms", body.encode())

    def settle(self) -> None:
        """Once a second it looks whether nothing was written for a second, and compacts then."""
        end_s = time.monotonic() + SETTLE_TIMEOUT_S
        while time.monotonic() < end_s and size_of(self.folder / "wal"):
            time.sleep(0.2)
        wait_until_still(self.folder / "data", 3 * QUIET_S)

    def bytes_of_data(self) -> int:
        return size_of(self.folder / "data" / "bench")

    def query(self, metric: str, start_ms: int, end_ms: int, step_ms: int) -> str:
        asked = {
            "db": "bench",
            "epoch": "ms",
            "q": f'SELECT last(value) FROM "{metric}" WHERE time > {start_ms}ms AND '
            f"time <= {end_ms}ms GROUP BY time({step_ms}ms), line",
        }
        return f"/query?{urlencode(asked)}"

    def points(self, answer: bytes) -> int:
        return sum(len(one["values"]) for one in json.loads(answer)["results"][0]["series"])


PEERS: tuple[type[Peer], ...] = (VictoriaMetrics, Prometheus, InfluxDB)


def installed(report: Report) -> list[type[Peer]]:
    """Those that are there; the report is told of the others, and of the versions."""
    found = [peer for peer in PEERS if peer.is_there()]
    for peer in PEERS:
        if peer not in found:
            report.note(
                f"{peer.name} was not measured: it is not installed (apt install {peer.package})"
            )
    if found:
        said = ", ".join(f"{peer.name} {peer.version()}" for peer in found)
        report.note(f"beside it in the same run: {said}")
    return found


@contextmanager
def running(
    kinds: Iterable[type[Peer]], folder: Path, lines: Sequence[Line]
) -> Iterator[list[Peer]]:
    """All of them, each with these samples in its files."""
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(kind(folder / kind.package)) for kind in kinds]
        for peer in peers:
            peer.feed(lines)
            peer.settle()
        yield peers
