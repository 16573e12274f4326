"""What a client without a socket asks for: its frames, taken as a socket's are."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import msgspec

from dashboard import protocol
from dashboard.connection import Connection
from dashboard.fallback_door import Refused
from dashboard.hub import Hub
from dashboard.protocol import Close, WatchRefused
from dashboard.viewer import Viewer
from dashboard.watching import Asked, watch_for

logger = logging.getLogger(__name__)

BODY_BYTES = 512 * 1024  # 100 watches with the longest expressions fit
LONGEST_WAIT_MS = 20_000
OUR_BUG = "a mistake of ours; it is in the server's log"
ANNOTATE_ELSEWHERE = "no annotate here: POST the frame to /live/annotate"

WaitMs = Annotated[int, msgspec.Meta(ge=100, le=LONGEST_WAIT_MS)]


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request that opens a stream or is a poll: watches with their cursors."""

    watches: list[msgspec.Raw] = []
    wait_ms: WaitMs = LONGEST_WAIT_MS


_questions = msgspec.json.Decoder(Question)
_frames = msgspec.json.Decoder(list[msgspec.Raw])


async def body_of(receive: Any) -> bytes:
    """The whole body, which dashboard.body_limit bounds. Raises Refused when the client left."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(Close.BAD_MESSAGE, "the request ended in the middle")
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def question(body: bytes) -> tuple[list[Asked], float]:
    """The watches asked for, and how long to wait for news in seconds. Raises Refused."""
    try:
        asked = _questions.decode(body) if body else Question()
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused(
            Close.BAD_MESSAGE,
            f'{error}: expected {{"watches": [...], "wait_ms": 20000}}, each watch a frame of '
            "docs/protocol.md with its newest cursor",
        ) from None
    watches: list[Asked] = []
    for number, message in enumerate(_decoded(asked.watches, "watches")):
        if not isinstance(message, Asked):
            raise Refused(Close.BAD_MESSAGE, f"watches[{number}]: only watches can be asked for")
        watches.append(message)
    return watches, asked.wait_ms / 1000


def frames(body: bytes) -> list[protocol.ClientMessage]:
    """What goes up to a stream: a JSON array of frames. Raises Refused."""
    try:
        raw = _frames.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused(Close.BAD_MESSAGE, f"{error}: expected a JSON array of frames") from None
    return _decoded(raw, "frames")


def annotation(body: bytes) -> protocol.Annotate:
    """The annotation asked for. Raises Refused."""
    try:
        message = protocol.decode(body)
    except ValueError as error:
        raise Refused(Close.BAD_MESSAGE, str(error)) from None
    if not isinstance(message, protocol.Annotate):
        raise Refused(Close.BAD_MESSAGE, "expected an annotate frame, as docs/protocol.md has it")
    return message


def _decoded(raw: list[msgspec.Raw], name: str) -> list[protocol.ClientMessage]:
    found = []
    for number, one in enumerate(raw):
        try:
            found.append(protocol.decode(bytes(one)))
        except ValueError as error:
            raise Refused(Close.BAD_MESSAGE, f"{name}[{number}]: {error}") from None
    return found


class Talk:
    """One viewer's watches on one connection."""

    def __init__(self, hub: Hub, viewer: Viewer, connection: Connection) -> None:
        self._hub = hub
        self._viewer = viewer
        self._connection = connection
        self.is_over = False  # nothing may be added any longer: nobody would end it

    async def take(self, message: protocol.ClientMessage) -> None:
        """Does what a frame asks for, or says why not. Raises Refused when nobody reads that."""
        if isinstance(message, protocol.Unwatch):
            self._connection.remove(message.id)
        elif isinstance(message, protocol.Hello):
            self._refuse("bad_message", "no hello here: send Authorization: Bearer pb_...")
        elif isinstance(message, protocol.Annotate):
            self._refuse("bad_message", ANNOTATE_ELSEWHERE, ref=message.ref)
        elif isinstance(message, Asked):
            await self._watch(message)

    async def _watch(self, message: Asked) -> None:
        watches = self._connection.watches
        if message.id in watches:
            self._refuse("bad_message", f"watch {message.id} exists: unwatch it first")
            return
        try:
            held = len(watches)
            watch = await watch_for(self._hub, self._viewer, message, held, "a stream or poll")
        except WatchRefused as refused:
            self._refuse(refused.code, str(refused), message.id)
        else:
            if self.is_over or message.id in watches:  # meanwhile
                watch.on_end()
            else:
                self._connection.add(watch)

    def _refuse(
        self, code: protocol.ErrorCode, sentence: str, id: int | None = None, ref: str | None = None
    ) -> None:
        if not self._connection.say(protocol.encode(protocol.Error(code, sentence, id, ref))):
            raise Refused(Close.RATE_LIMITED, "too many answers wait to be read: come back in 5 s")
