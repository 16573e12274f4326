"""What a form of frames costs: binary beside JSON, and what compressing them would."""

from __future__ import annotations

import asyncio
import json
import struct
import time
import zlib
from dataclasses import dataclass

import numpy as np

from benchmarks import loop
from benchmarks.processes import Effort, Helper, Pulseboard, folder, how_pinned
from benchmarks.publisher import Plan, expressions
from benchmarks.report import Report
from benchmarks.scale import Scale
from benchmarks.sockets import Fleet, Greeting, watching
from benchmarks.systems import VARIABLES
from dashboard.loadtest.reader import Reader
from dashboard.loadtest.wire import BINARY_FORM, JSON_FORM

TITLE = "Forms of frames: bytes and CPU for each update, and what permessage-deflate would take"
FORMS = {"binary": BINARY_FORM, "JSON": JSON_FORM}
PANELS = 4
LINES = 12
RATE = 20.0
WINDOW_BITS, MEMORY_LEVEL = 12, 5  # the websockets library's settings of a server
TAIL = b"\x00\x00\xff\xff"  # what RFC 7692 leaves out of each message
MOST_FRAMES = 2000
DECODES = 200


class Recorder(Reader):
    """Keeps what came."""

    def __init__(self, host: str, greeting: Greeting) -> None:
        super().__init__(host, greeting)
        self.messages: list[bytes] = []

    def look(self, kind: int, data: bytes, start: int, stop: int) -> None:
        if len(self.messages) < MOST_FRAMES:
            self.messages.append(data[start:stop])


@dataclass
class Deflated:
    """Frames as RFC 7692 has them, with one context for all messages of a socket."""

    bytes: int = 0
    deflate_us: float = 0.0


def run(scale: Scale, report: Report) -> None:
    report.note(how_pinned())
    report.note(
        f"{scale.forms_crowd} browsers, {PANELS} panels of {LINES} series with values of two "
        f"decimals, {RATE:g} times a second; the server's CPU is all it does, storing and "
        "evaluating included"
    )
    report.note(
        "Pulseboard's server does not negotiate permessage-deflate: it was measured on the same "
        f"frames with zlib at the settings of the websockets library ({WINDOW_BITS} window bits, "
        f"memory level {MEMORY_LEVEL}), each socket with a context of its own, as RFC 7692 has it"
    )
    for _ in range(scale.repeats):
        for form in FORMS:
            with folder() as data, Pulseboard(data, "--no-jobs", variables=VARIABLES) as server:
                loop.run(_measure(scale, report, server, form))
    for what in ("bytes for each update", "server's CPU for each update"):
        pairs = zip(report.values(f"binary: {what}"), report.values(f"JSON: {what}"), strict=False)
        for binary, text in pairs:
            report.add(f"binary / JSON: {what}", "times", binary / text)


async def _measure(scale: Scale, report: Report, server: Pulseboard, form: str) -> None:
    read, publish = server.tokens()
    greeting = watching(read, expressions(PANELS), subprotocol=FORMS[form])
    fleet = Fleet(server.port)
    recorder = Recorder(f"127.0.0.1:{server.port}", greeting)
    plan = Plan("walk", scale.warm_s + scale.window_s, RATE, server.port, publish, PANELS, LINES)
    try:
        await fleet.open(scale.forms_crowd, greeting)
        await asyncio.get_running_loop().create_connection(
            recorder.itself, "127.0.0.1", server.port
        )
        await recorder.ready
        recorder.looking = True
        effort, frames, data = Effort(server), fleet.frames(), fleet.bytes()
        with Helper("benchmarks.publisher", plan.arguments(), server.folder) as helper:
            await asyncio.to_thread(helper.output)
        used_s = effort.used_s()
        count = max(1, fleet.frames() - frames)
        report.add(f"{form}: bytes for each update", "bytes", (fleet.bytes() - data) / count)
        report.add(f"{form}: server's CPU for each update", "us", 1e6 * used_s / count)
    finally:
        recorder.close()
        fleet.close()
    updates = [one for one in recorder.messages if b'"heartbeat"' not in one[:24]]
    _compress(report, form, updates)


def _compress(report: Report, form: str, updates: list[bytes]) -> None:
    found = deflated(updates)
    report.add(
        f"{form}, deflated: bytes for each update", "bytes", found.bytes / max(1, len(updates))
    )
    report.add(f"{form}, deflated: CPU for each update and socket", "us", found.deflate_us)
    report.add(f"{form}: decoding an update in Python", "us", _decode_us(form, updates))


def deflated(messages: list[bytes]) -> Deflated:
    """What compressing these messages of one socket takes; checks that they come back."""
    packer = zlib.compressobj(wbits=-WINDOW_BITS, memLevel=MEMORY_LEVEL)
    began_s = time.process_time()
    packed = [
        (packer.compress(one) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
        for one in messages
    ]
    took_s = time.process_time() - began_s
    unpacker = zlib.decompressobj(wbits=-WINDOW_BITS)
    assert [unpacker.decompress(one + TAIL) for one in packed] == messages
    size = sum(len(one) for one in packed)
    return Deflated(size, 1e6 * took_s / max(1, len(messages)))


def _decode_us(form: str, updates: list[bytes]) -> float:
    """All values as numbers; in Python: it tells the forms apart, not what a browser takes."""
    some = updates[:DECODES]
    began_s = time.process_time()
    for one in some:
        if form == "JSON":
            json.loads(one)
        else:
            rows, columns = struct.unpack_from("<II", one, 8)
            np.frombuffer(one, "<f8", rows * columns, 40 + 8 * columns)
    return 1e6 * (time.process_time() - began_s) / max(1, len(some))
