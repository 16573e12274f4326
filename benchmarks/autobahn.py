"""Autobahn|Testsuite against our WebSocket protocol class.

    python -m benchmarks.autobahn --wstest path/to/wstest [--cases 1.* 7.1.5] [--json report.json]

An echo application runs under `dashboard.socket.LiveSocket`, the class that `manage.py serve` uses,
with its limits on size and rate raised: groups 2, 5, 6, 9 and 10 send more, and larger, than a
browser ever may. The suite's fuzzing client then plays its cases. Prints a table and every case
that is not OK; the exit code is 1 when one failed, 2 when the suite could not run.

The suite needs Python 2.7; docs/autobahn.md says how to install it. Nothing of it is imported here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from dashboard import server
from dashboard.frame_guard import FrameLimits
from dashboard.listener import listen
from dashboard.socket import LiveSocket

GROUPS = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*")
AGENT = "Pulseboard"
VERDICTS = ("OK", "NON-STRICT", "INFORMATIONAL", "FAILED")
# How the suite calls what did not fail; UNCLEAN and WRONG CODE are of the closing handshake.
ALLOWED = {"OK", "NON-STRICT", "INFORMATIONAL"}
PLENTY = 1_000_000_000


class RoomySocket(LiveSocket):
    """The real rules, but a peer may send as much and as often as the suite does."""

    limits = FrameLimits(
        message_bytes=32 * 1024 * 1024,
        fragments_per_message=1_000_000,  # 9.3.1 and 9.4.1: 4 MiB in fragments of 64 bytes
        messages_per_second=PLENTY,
        message_burst=PLENTY,
        controls_per_second=PLENTY,
        control_burst=PLENTY,
    )


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The application: says every message back as it came."""
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        said = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
        try:
            await send({"type": "websocket.send", **said})
        except OSError:  # it left before its echo
            return


def specification(port: int, folder: Path, cases: list[str]) -> dict[str, Any]:
    """What the fuzzing client is asked to do."""
    return {
        "outdir": str(folder / "report"),
        "servers": [{"agent": AGENT, "url": f"ws://127.0.0.1:{port}"}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }


async def play(wstest: str, cases: list[str], folder: Path) -> dict[str, Any]:
    """Runs the cases; what the suite says of each. Raises RuntimeError when it cannot run."""
    listener = listen("127.0.0.1", 0)
    spec = folder / "fuzzingclient.json"
    spec.write_text(json.dumps(specification(listener.getsockname()[1], folder, cases)))
    running = server.Server(server.make_config(echo, RoomySocket), handle_signals=False)
    serving = asyncio.create_task(running.serve([listener]))
    try:
        await running.serving.wait()
        suite = await asyncio.create_subprocess_exec(
            wstest, "-m", "fuzzingclient", "-s", str(spec), cwd=folder,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await suite.communicate()
    finally:
        running.stop()
        await serving
    index = folder / "report" / "index.json"
    if suite.returncode or not index.exists():
        raise RuntimeError(f"{wstest} ended with {suite.returncode}: {said[-2000:].decode()}")
    found: dict[str, Any] = json.loads(index.read_text())[AGENT]
    return found


def verdict(case: dict[str, Any]) -> str:
    """The worse of the two that the suite gives: for what was said, and for how it was ended."""
    both = {case["behavior"], case["behaviorClose"]}
    if both - ALLOWED:
        return "FAILED"
    return next(one for one in ("INFORMATIONAL", "NON-STRICT", "OK") if one in both)


def in_order(number: str) -> list[int]:
    return [int(part) for part in number.split(".")]


def table(found: dict[str, Any]) -> str:
    """A row for each group, in Markdown."""
    counts: dict[str, Counter[str]] = {}
    for number in sorted(found, key=in_order):
        counts.setdefault(number.split(".")[0], Counter())[verdict(found[number])] += 1
    counts["all"] = sum(counts.values(), Counter())
    rows = [["Group", *VERDICTS]]
    rows += [[group, *(str(count[v]) for v in VERDICTS)] for group, count in counts.items()]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]])


def main() -> int:
    parser = argparse.ArgumentParser(description="Autobahn|Testsuite against our protocol class")
    parser.add_argument("--wstest", default="wstest", help="the suite's program")
    parser.add_argument("--cases", nargs="+", default=list(GROUPS), help="such as 1.* 7.1.5")
    parser.add_argument("--json", type=Path, help="write the verdict on each case to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            with asyncio.Runner(loop_factory=server.fast_loop()) as runner:
                found = runner.run(play(options.wstest, options.cases, Path(folder)))
        except (OSError, RuntimeError) as error:
            print(f"the suite could not run (docs/autobahn.md): {error}", file=sys.stderr)
            return 2
    if not found:
        print(f"no case matches {' '.join(options.cases)}", file=sys.stderr)
        return 2
    print(table(found))
    verdicts = {number: verdict(found[number]) for number in sorted(found, key=in_order)}
    for number, one in verdicts.items():
        if one != "OK":
            case = found[number]
            print(f"{number}: {case['behavior']}, close {case['behaviorClose']}")
    if options.json:
        options.json.write_text(json.dumps(verdicts, indent=1) + "\n")
    return int("FAILED" in verdicts.values())


if __name__ == "__main__":
    sys.exit(main())
