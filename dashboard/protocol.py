"""Every frame and every close code of the live protocol.

The one definition: `manage.py protocol` makes the JSON Schema, docs/protocol.md, the browser's
constants and types, and the example frames that both languages' tests read from what stands here,
in close_codes.py and in protocol_examples.py. This is the JSON form; under `pulseboard.v1`
snapshots and updates are binary (dashboard/binary_frames.py), and everything else is as here.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

from dashboard import close_codes

Close = close_codes.Close

VERSION = 1
BINARY, JSON = "pulseboard.v1", "pulseboard.v1.json"
SUBPROTOCOLS = (BINARY, JSON)  # the first that a client offers too is taken
HEARTBEAT_MS = 2000
HELLO_TIMEOUT_S = 5.0
MESSAGE_BYTES = 65_536

Labels = dict[str, str]
Number = float | None  # NaN is encoded as null
WatchId = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
RangeMs = Annotated[int, msgspec.Meta(ge=1000, le=100 * 366 * 86_400_000)]
StepMs = Annotated[int, msgspec.Meta(ge=10, le=366 * 86_400_000)]
TimeMs = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Text = Annotated[str, msgspec.Meta(max_length=4000)]
Cursor = Annotated[str, msgspec.Meta(max_length=64)]
Slug = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,80}$")]
Ref = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_.:-]{1,64}$")]

ErrorCode = Literal[
    "bad_message", "bad_expression", "too_many_watches", "too_many_series", "too_many_points",
    "forbidden", "rate_limited", "internal",
]  # fmt: skip


class WatchRefused(Exception):
    """Something was asked for that is not given; str() is the sentence for the error frame."""

    def __init__(self, code: ErrorCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code: ErrorCode = code


class ClientFrame(msgspec.Struct, tag_field="type", forbid_unknown_fields=True):
    pass


class Hello(ClientFrame, tag="hello"):
    """Says who is there, by a token with scope `read`; only without a session, within 5 s."""

    token: Annotated[str, msgspec.Meta(max_length=200)]


class Watch(ClientFrame, tag="watch"):
    """Watches a PromQL expression: answered by a snapshot, then by updates.

    `id` is the client's own, unique on its socket. `step_ms` is the distance of points. With
    `end_ms` the range ends there and no updates follow. `cursor` is that of the last frame before
    a reconnect: the answer is then what was missed, or a new snapshot.
    """

    id: WatchId
    expr: Text
    range_ms: RangeMs
    step_ms: StepMs
    end_ms: TimeMs | None = None
    cursor: Cursor | None = None


class WatchEvents(ClientFrame, tag="watch_events"):
    """Watches events: the newest `limit`, then each new one."""

    id: WatchId
    limit: Limit = 100
    cursor: Cursor | None = None


class WatchMetrics(ClientFrame, tag="watch_metrics"):
    """Watches the list of all metrics with their last values."""

    id: WatchId
    cursor: Cursor | None = None


class WatchPresence(ClientFrame, tag="watch_presence"):
    """Is on a dashboard, named as in its address, and watches who else is. `away`: nobody looks at
    it; to change that, unwatch and watch again, of which nobody is told if it takes less than 3 s.
    """

    id: WatchId
    board: Slug
    away: bool = False
    cursor: Cursor | None = None


class Unwatch(ClientFrame, tag="unwatch"):
    """Ends a watch; frames already on their way may still arrive."""

    id: WatchId


class Ack(ClientFrame, tag="ack"):
    """Says that `frames` messages of the server were received on this socket so far, of all kinds.

    Only when `welcome.ack_ms` is more than 0: then at most once in that time, and only when the
    number has changed. The server sends at most 256 KiB (or one message, if that is larger) that
    were not acknowledged.
    """

    frames: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Annotate(ClientFrame, tag="annotate"):
    """Stores an event that a person puts on the charts; answered by `stored`, or an `error`.

    Only people with the right `metrics.add_event` may, which is looked up each time. `ref` is the
    client's own and unique, such as a UUID: the same person's same `ref` again, after a break, is
    stored once. `time` may be left out: now. The label `author` is the server's to set.
    """

    ref: Ref
    title: str
    text: str = ""
    time: int | None = None
    labels: Labels = {}


class ServerFrame(msgspec.Struct, tag_field="type", omit_defaults=True):
    pass


class Limits(msgspec.Struct):
    """What one socket may ask for: bytes a message, watches, points a series, series a watch."""

    message_bytes: int
    watches: int
    points: int
    series: int


class Welcome(ServerFrame, tag="welcome"):
    """First frame of the server. `server_ms` is its clock, in ms since 1970.

    `ack_ms`: how often the client has to say `ack`; absent: never.
    """

    version: int
    server_ms: int
    tick_ms: int
    heartbeat_ms: int
    limits: Limits
    ack_ms: int = 0


class Line(msgspec.Struct):
    """What identifies one series of an answer."""

    labels: Labels


class Snapshot(ServerFrame, tag="snapshot"):
    """The whole picture of a watch; replaces what the client had.

    `values` has a row for each of `series` and a column for each of `times` (ms since 1970,
    multiples of `step_ms`); null where there is no value. `low` and `high` are the least and the
    greatest since the step before, or the value where that is not known; absent: all are values.
    `conflated`: it comes instead of updates that the client was too slow to read.
    """

    id: int
    series: list[Line]
    times: list[int]
    values: list[list[Number]]
    step_ms: int
    cursor: str
    low: list[list[Number]] | None = None
    high: list[list[Number]] | None = None
    conflated: bool = False


class Update(ServerFrame, tag="update"):
    """What changed since: columns to add, or to put in place of those with the same time.

    `series` are added after those already known; `values`, `low` and `high` have a row for each
    series then known. `conflated`: several updates in one, since the client was slow to read.
    """

    id: int
    times: list[int]
    values: list[list[Number]]
    cursor: str
    series: list[Line] = []
    low: list[list[Number]] | None = None
    high: list[list[Number]] | None = None
    conflated: bool = False


class EventItem(msgspec.Struct):
    """One event; `time` in ms since 1970."""

    id: int
    time: int
    title: str
    text: str
    labels: Labels


class Events(ServerFrame, tag="events"):
    """Events, oldest first; the first frame of a watch holds the newest `limit`."""

    id: int
    events: list[EventItem]
    cursor: str


class MetricItem(msgspec.Struct, omit_defaults=True):
    """One metric: its newest sample and the labels of the series that has it.

    `spark` (first frame only): its values at about the last 60 s, null where there was none.
    """

    name: str
    kind: str
    unit: str
    help: str
    series: int
    labels: Labels
    time: int | None
    value: Number
    spark: list[Number] | None = None


class Metrics(ServerFrame, tag="metrics"):
    """Metrics by name; the first frame holds all, later ones those that changed."""

    id: int
    metrics: list[MetricItem]
    cursor: str


class Person(msgspec.Struct, omit_defaults=True):
    """Somebody on a dashboard, however many tabs they have; `away`: none is looked at."""

    name: str
    kind: Literal["person", "token"]
    away: bool = False


class Presence(ServerFrame, tag="presence"):
    """Everybody on a dashboard: at most 50 by name, `others` more. Replaces what was there."""

    id: int
    people: list[Person]
    others: int
    cursor: str


class Stored(ServerFrame, tag="stored"):
    """The annotation `ref` is on the disk. `replayed`: it was before, and was not stored again."""

    ref: str
    replayed: bool = False


class Heartbeat(ServerFrame, tag="heartbeat"):
    """Sent every `heartbeat_ms`: the connection lives, and this is the server's clock."""

    server_ms: int


class Error(ServerFrame, tag="error"):
    """Something was refused: with `id`, that watch (`forbidden` also ends one later, when its right
    goes); with `ref`, that annotation; without, the message just sent. With the code `rate_limited`
    or `internal` it may be sent again as it is."""

    code: ErrorCode
    message: str
    id: int | None = None
    ref: str | None = None


class Bye(ServerFrame, tag="bye"):
    """The socket closes now, with `code`. Come back after a random wait within `retry_ms`."""

    code: int
    reason: str
    retry_ms: tuple[int, int]


ClientMessage = (
    Hello | Watch | WatchEvents | WatchMetrics | WatchPresence | Unwatch | Ack | Annotate
)
ServerMessage = (
    Welcome | Snapshot | Update | Events | Metrics | Presence | Stored | Heartbeat | Error | Bye
)

CLIENT_TYPES = tuple(str(one.__struct_config__.tag) for one in get_args(ClientMessage))
MOST_SAID = 200  # characters: an error must not be as long as what was wrong

_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_encoder = msgspec.json.Encoder()


def decode(text: str | bytes) -> ClientMessage:
    """A client's frame. Raises ValueError with a sentence that names the field and the fault."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise ValueError(_explain(str(error))) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"not a JSON message: {error}") from None


def _explain(found: str) -> str:
    """msgspec's "Expected `int` - at `$.id`" as "id: expected int"."""
    what, _, where = found.replace("`", "").partition(" - at $")
    what = what if len(what) <= MOST_SAID else f"{what[:MOST_SAID]}..."
    if not where:
        return what
    known = f": expected one of {', '.join(CLIENT_TYPES)}" if where == ".type" else ""
    return f"{where.lstrip('.')}: {what[0].lower()}{what[1:]}{known}"


def encode(frame: ServerMessage) -> str:
    return _encoder.encode(frame).decode()


def encode_row(values: list[float]) -> bytes:
    """A row of a frame's `values`, NaN as null."""
    return _encoder.encode(values)
