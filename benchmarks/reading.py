"""How long history takes, from the request to the last byte of the answer, beside the peers.

Everybody holds the same samples of the last hours; they are asked in turns. benchmarks/history.py
makes our store.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from benchmarks import history, peers
from benchmarks.asking import BINARY, Browser, Http, Question, browsing
from benchmarks.history import DAY_MS, LINES, RANGE_MS, WIDE_METRIC
from benchmarks.peer import Peer
from benchmarks.peers import Prometheus, VictoriaMetrics
from benchmarks.processes import Helper, Pulseboard, Server, folder, how_pinned, on_load_cores
from benchmarks.report import Report
from benchmarks.scale import Scale
from benchmarks.walks import GAUGE, HOUR_MS, SECOND_MS
from dashboard import binary_frames

TITLE = "Reading history: 1,000 steps, from the request to the whole answer"
STEPS = 1_000
STEP_MS = RANGE_MS // STEPS
YEAR_MS = 365 * DAY_MS
EXACT_STEP_MS = 20 * SECOND_MS  # whole buckets: no answer may differ
LOOKBACK_MS = 300 * SECOND_MS
MOST_MS = 1_000  # of asking one thing, but at least three times
LIVE, PAGE = "Pulseboard, socket", "Pulseboard, socket, binary form"
EXPORT = "Pulseboard, GET export"

Ask = Callable[[], bytes]


@dataclass(frozen=True)
class Way:
    """Somebody who answers a question; `points` counts the values of an answer."""

    name: str
    server: Server | Peer
    ask: Ask
    points: Callable[[bytes], int]
    rest: Callable[[], None] = lambda: None

    def took_ms(self) -> float:
        self.rest()
        began_s = time.perf_counter()
        self.ask()
        return 1000 * (time.perf_counter() - began_s)


def run(scale: Scale, report: Report) -> None:
    report.note(how_pinned())
    _say_what(report)
    kinds = peers.installed(report)
    both_ms = math.lcm(STEP_MS, EXACT_STEP_MS)  # everybody's steps begin at the same times
    end_ms = int(time.time()) * SECOND_MS // both_ms * both_ms
    with folder() as data, ExitStack() as stack:
        ours = data / "pulseboard"
        ours.mkdir()
        _make(ours, end_ms, scale.share)
        begin_ms = end_ms - RANGE_MS - LOOKBACK_MS
        lines = [line.since(begin_ms) for line in history.recent(end_ms, scale.share)]
        others = stack.enter_context(peers.running(kinds, data, lines))
        server = stack.enter_context(Pulseboard(ours))
        token, _ = server.tokens()
        time.sleep(2 * scale.warm_s)  # its first measurements of itself
        stack.enter_context(on_load_cores())
        browser = stack.enter_context(browsing(server.port, token))
        page = stack.enter_context(browsing(server.port, token, BINARY))
        _beside(scale, report, server, (browser, page), token, others, end_ms)
        for question in _questions(end_ms, scale.share):
            ask = partial(browser.ask, question)
            _alone(scale, report, Way(question.name, server, ask, _of_snapshot, browser.rest))


def _alone(scale: Scale, report: Report, way: Way) -> None:
    values = way.points(way.ask())
    if not values:
        raise RuntimeError(f"{way.name}: an empty answer")
    reads = min(scale.reads, max(3, round(MOST_MS / way.took_ms())))
    for _ in range(scale.repeats):
        took_ms = [way.took_ms() for _ in range(reads)]
        report.add(f"{way.name} ({values:,} values)", "ms", statistics.median(took_ms))


def _say_what(report: Report) -> None:
    report.note(
        f"{LINES} series at 1 s, the last value at each of {STEPS:,} steps; {LIVE}: a watch with "
        "end_ms on a connection to /live/, what every chart begins with: its snapshot also has the "
        "least and greatest value of each step, three times as many values; as JSON, and in the "
        "binary form that pages take; "
        "GET export: /api/v1/export with a step as JSON lines, an object for each value"
    )
    report.note(
        "at 21.6 s a step ours are read from rollups of 10 s, but for the newest two hours: the "
        "peers have none and read samples; all data are in memory after the first answer"
    )
    report.note(
        "older than 60 h: rollups written through the project's modules, not published sample by "
        "sample (benchmarks/history.py); each figure is the median of some answers"
    )
    report.note(
        "a year in steps of 9 h, whole hours as pages ask for, is read from rollups of 1 h; in "
        "exactly 1,000 steps of 8.76 h, which no hours fill, from those of 1 min"
    )


def _make(data: Path, end_ms: int, share: float) -> None:
    with Helper("benchmarks.history", [str(end_ms), str(share)], data) as helper:
        helper.output()


def _beside(
    scale: Scale,
    report: Report,
    server: Pulseboard,
    browsers: tuple[Browser, Browser],
    token: str,
    others: Sequence[Peer],
    end_ms: int,
) -> None:
    """The last 6 h of everybody, in turns."""
    question = Question(_hours(6), GAUGE, end_ms - RANGE_MS, end_ms, STEP_MS)
    browser, page = browsers
    with ExitStack() as stack:
        http = Http(server.port, {"Authorization": f"Bearer {token}"})
        stack.callback(http.close)
        ways = [
            Way(LIVE, server, lambda: browser.ask(question), _of_snapshot, browser.rest),
            Way(PAGE, server, lambda: page.ask(question), _of_binary, page.rest),
            Way(EXPORT, server, lambda: http.get(_export(question)), _of_lines),
        ]
        for peer in others:
            connection = Http(peer.port)
            stack.callback(connection.close)
            ways += _ways(peer, connection, question)
            if isinstance(peer, Prometheus):
                _compare(report, browser, peer, replace(question, step_ms=EXACT_STEP_MS))
        _check(report, ways, question)
        for _ in range(scale.repeats):
            _turns(scale, report, ways, question)


def _ways(peer: Peer, http: Http, question: Question) -> list[Way]:
    path = peer.query(question.metric, question.start_ms, question.end_ms, question.step_ms)
    if not isinstance(peer, VictoriaMetrics):
        return [Way(peer.name, peer, lambda: http.get(path), peer.points)]
    return [
        Way(peer.name, peer, lambda: http.get(f"{path}&nocache=1"), peer.points),
        Way(f"{peer.name} with its cache", peer, lambda: http.get(path), peer.points),
    ]


def _check(report: Report, ways: Sequence[Way], question: Question) -> None:
    """All answer, with about as many values."""
    for way in ways:
        found = way.points(way.ask())
        expected = LINES * STEPS
        if abs(found - expected) > 2 * LINES:
            raise RuntimeError(f"{way.name} answered {found:,} values, expected {expected:,}")
        size = len(way.ask())
        report.add(f"{question.name}, {way.name}: size of the answer", "kB", size / 1000)


def _compare(report: Report, browser: Browser, peer: Prometheus, question: Question) -> None:
    """Where steps are whole buckets, both must say the same."""
    ours = json.loads(browser.ask(question))
    mine = {
        (line["labels"]["line"], at): value
        for line, row in zip(ours["series"], ours["values"], strict=True)
        for at, value in zip(ours["times"], row, strict=True)
    }
    path = peer.query(question.metric, question.start_ms, question.end_ms, question.step_ms)
    theirs = {
        (line["metric"]["line"], round(1000 * at)): float(value)
        for line in json.loads(peer.get(path)[1])["data"]["result"]
        for at, value in line["values"]
    }
    both = mine.keys() & theirs.keys()
    differ = sum(mine[key] != theirs[key] for key in both)
    report.note(
        f"at a step of 20 s {len(both):,} values were compared with Prometheus: {differ:,} differ"
    )


def _turns(scale: Scale, report: Report, ways: Sequence[Way], question: Question) -> None:
    took: dict[str, list[float]] = {way.name: [] for way in ways}
    for turn in range(scale.reads):
        at = turn % len(ways)
        for way in (*ways[at:], *ways[:at]):
            took[way.name].append(way.took_ms())
    for way in ways:
        report.add(f"{question.name}, {way.name}", "ms", statistics.median(took[way.name]))
        before_s = way.server.cpu_seconds()
        for _ in range(scale.reads):
            way.took_ms()
        used_s = way.server.cpu_seconds() - before_s
        report.add(f"{question.name}, {way.name}: server's CPU", "ms", 1000 * used_s / scale.reads)
    for way in ways[3:]:
        for ours, name in ((LIVE, "ours"), (PAGE, "ours in binary form")):
            ratios = [a / b for a, b in zip(took[ours], took[way.name], strict=True)]
            report.add(f"{question.name}, {name} / {way.name}", "times", statistics.median(ratios))


def _questions(end_ms: int, share: float) -> list[Question]:
    """How the cost grows: with samples, with series, with age."""

    def of(
        name: str, range_ms: int, metric: str = GAUGE, ago_ms: int = 0, step_ms: int = 0
    ) -> Question:
        # Whole steps: they are multiples of the step since 1970.
        step_ms = step_ms or range_ms // STEPS
        last_ms = (end_ms - ago_ms) // step_ms * step_ms
        first_ms = last_ms - range_ms // step_ms * step_ms
        return Question(f"{LIVE}: {name}", metric, first_ms, last_ms, step_ms)

    wide = max(2, round(history.WIDE * share))
    found = [
        of(f"6 h of {LINES} series", RANGE_MS),
        of(f"6 h of {wide} series", RANGE_MS, WIDE_METRIC),
        of(f"1 day of {LINES} series", DAY_MS),
    ]
    if share == 1:
        found += [
            of(f"60 h of {LINES} series, 10 x the samples", 10 * RANGE_MS),
            of(f"1 day a month ago of {LINES} series", DAY_MS, ago_ms=28 * DAY_MS),
            of(f"1 day a year ago of {LINES} series", DAY_MS, ago_ms=364 * DAY_MS),
            of(f"30 days of {LINES} series", 30 * DAY_MS),
            of(f"1 year of {LINES} series, steps of 9 h", YEAR_MS, step_ms=9 * HOUR_MS),
            of(f"1 year of {LINES} series, steps of 8.76 h", YEAR_MS),
        ]
    return found


def _hours(hours: int) -> str:
    return f"{hours} h of {LINES} series ({LINES * hours * HOUR_MS // SECOND_MS:,} samples)"


def _export(question: Question) -> str:
    asked = {
        "expr": question.metric,
        "from": str(question.start_ms + 1),
        "to": str(question.end_ms + 1),
        "step": f"{question.step_ms}ms",
        "format": "jsonl",
    }
    return f"/api/v1/export?{urlencode(asked)}"


def _of_snapshot(answer: bytes) -> int:
    return sum(value is not None for row in json.loads(answer)["values"] for value in row)


def _of_binary(answer: bytes) -> int:
    rows = binary_frames.decode(answer).values
    return sum(value is not None for row in rows for value in row)


def _of_lines(answer: bytes) -> int:
    return sum("value" in json.loads(line) for line in answer.splitlines())
