"""An example of every frame: shown in docs/protocol.md, read by the tests of both languages."""

from __future__ import annotations

from dashboard.protocol import (
    HEARTBEAT_MS,
    MESSAGE_BYTES,
    VERSION,
    Ack,
    Annotate,
    Bye,
    ClientMessage,
    Close,
    Error,
    EventItem,
    Events,
    Heartbeat,
    Hello,
    Limits,
    Line,
    MetricItem,
    Metrics,
    Person,
    Presence,
    ServerMessage,
    Snapshot,
    Stored,
    Unwatch,
    Update,
    Watch,
    WatchEvents,
    WatchMetrics,
    WatchPresence,
    Welcome,
)

CLIENT_EXAMPLES: tuple[ClientMessage, ...] = (
    Hello("pb_Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9"),
    Watch(1, "rate(http_requests_total[1m])", 900_000, 1000),
    WatchEvents(2, 100),
    WatchMetrics(3),
    WatchPresence(4, "this-machine"),
    Unwatch(1),
    Ack(118),
    Annotate("b7f3a1c2", "deployed", "version 1.2", 1_790_000_001_500, {"app": "shop"}),
)
SERVER_EXAMPLES: tuple[ServerMessage, ...] = (
    Welcome(VERSION, 1_790_000_000_123, 50, HEARTBEAT_MS, Limits(MESSAGE_BYTES, 100, 11_000, 1000)),
    Snapshot(
        1,
        [Line({"region": "eu"}), Line({"region": "us"})],
        [1_790_000_000_000, 1_790_000_001_000],
        [[1.5, 2.0], [None, 4.25]],
        1000,
        "9d0700e3:118",
    ),
    Update(1, [1_790_000_002_000], [[2.5], [4.0]], "9d0700e3:119"),
    Update(
        1, [1_790_000_002_000], [[2.5], [4.0], [0.5]], "9d0700e3:120", [Line({"region": "asia"})]
    ),
    Update(
        1, [1_790_000_003_000], [[2.5], [4.0], [0.5]], "9d0700e3:121", [],
        low=[[2.5], [1.25], [0.5]], high=[[7.75], [4.0], [0.5]], conflated=True,
    ),
    Events(
        2,
        [EventItem(5, 1_790_000_001_500, "deployed", "version 1.2", {"app": "shop"})],
        "9d0700e3:4",
    ),
    Metrics(
        3,
        [
            MetricItem(
                "orders_total", "counter", "", "Orders so far.", 2, {"region": "eu"},
                1_790_000_001_000, 12.0, [None, 9.0, 12.0],
            )
        ],
        "9d0700e3:7",
    ),
    Presence(
        4,
        [Person("ann", "person"), Person("hall screen", "token"), Person("bob", "person", True)],
        0,
        "9d0700e3:2",
    ),
    Stored("b7f3a1c2"),
    Heartbeat(1_790_000_002_000),
    Error("bad_expression", "the function topk is not supported yet", 1),
    Bye(Close.RESTART, "restarting", (200, 8000)),
)  # fmt: skip
