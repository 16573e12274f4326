"""What one WebSocket peer may send: how large, in how many pieces, how often. No input or output.

The limits are checked frame by frame while the bytes are parsed, so a flood is noticed at the
frame that breaks the limit and nothing behind that frame is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from websockets.extensions.base import ServerExtensionFactory
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

MESSAGE_TOO_BIG = 1009
RATE_LIMITED = 4429
CONTROL_BYTES = 125  # RFC 6455, 5.5: what a control frame may hold

# At DEBUG the parser would write every header, cookies and all, into the log.
parser_logger = logging.getLogger("dashboard.socket.parser")
parser_logger.setLevel(logging.WARNING)


@dataclass(frozen=True)
class FrameLimits:
    """What a peer may send. A message is a data message; a control is a ping or a pong."""

    message_bytes: int = 64 * 1024
    fragments_per_message: int = 64
    messages_per_second: float = 50
    # A page that comes back asks for all its panels at once: as many as a connection may watch.
    message_burst: int = 150
    controls_per_second: float = 20
    control_burst: int = 20
    come_back_after_s: int = 5


class Refusal(Exception):
    """Why the parser stopped, when a limit and not the protocol was broken."""


class Allowance:
    """A bucket of `burst` tokens that refills at `per_second`."""

    def __init__(self, per_second: float, burst: int, now_s: float) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._left = self._burst
        self._seen_s = now_s

    def take(self, now_s: float) -> bool:
        """Take one token; False when there is none."""
        self._left = min(self._burst, self._left + (now_s - self._seen_s) * self._per_second)
        self._seen_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class GuardedConnection(ServerProtocol):
    """The frame parser of `websockets`, with the limits above and one correction.

    A close frame in the middle of a fragmented message is answered like any other close frame
    (RFC 6455, 5.4 lets control frames come in between), not as a protocol error.
    """

    def __init__(
        self,
        limits: FrameLimits,
        clock: Callable[[], float],
        extensions: Sequence[ServerExtensionFactory] | None = None,
    ) -> None:
        super().__init__(extensions=extensions, max_size=limits.message_bytes, logger=parser_logger)
        now_s = clock()
        self._limits = limits
        self._clock = clock
        self._messages = Allowance(limits.messages_per_second, limits.message_burst, now_s)
        self._controls = Allowance(limits.controls_per_second, limits.control_burst, now_s)
        self._fragments = 0

    def recv_frame(self, frame: Frame) -> None:
        """Judge one frame as it was parsed, then take it or end the conversation."""
        refusal = self._judge(frame)
        if refusal is not None:
            self.refuse(*refusal)
            return
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)

    def refuse(self, code: int, reason: str) -> None:
        """End the conversation with a close frame; what the peer sends from here on is dropped."""
        self.fail(code, reason)
        self.parser_exc = Refusal(reason)

    def expect_goodbye(self) -> None:
        """A close frame was sent: of what still comes only control frames matter.

        A larger frame, which would be put together for nobody, ends the reading instead.
        """
        self.max_message_size = CONTROL_BYTES

    def forget(self) -> None:
        """Frees what came and was not taken, at the end; else it waits for the garbage collector.

        An exception's traceback leads to the parser's frame, and so to this object again.
        """
        self.events.clear()
        for error in (self.parser_exc, self.handshake_exc):
            link: BaseException | None = error
            while link is not None:
                link.__traceback__ = None
                link = link.__cause__ or link.__context__

    def _judge(self, frame: Frame) -> tuple[int, str] | None:
        limits = self._limits
        if frame.opcode is Opcode.PING or frame.opcode is Opcode.PONG:
            if not self._controls.take(self._clock()):
                return self._too_often("pings and pongs", limits.controls_per_second)
        elif frame.opcode is Opcode.CONT:
            self._fragments += 1
            if self._fragments > limits.fragments_per_message:
                return MESSAGE_TOO_BIG, (
                    f"too many fragments: a message may have {limits.fragments_per_message} at most"
                )
        elif frame.opcode is not Opcode.CLOSE:
            self._fragments = 1
            if not self._messages.take(self._clock()):
                return self._too_often("messages", limits.messages_per_second)
        return None

    def _too_often(self, what: str, per_second: float) -> tuple[int, str]:
        wait_s = self._limits.come_back_after_s
        return RATE_LIMITED, (
            f"too many {what}: at most {per_second:g} a second; "
            f"come back after {wait_s} s (retry_ms={wait_s * 1000})"
        )
