"""Why the server closes a socket: the other half of dashboard.protocol."""

from __future__ import annotations

from enum import IntEnum


class Close(IntEnum):
    """Why a socket was closed; never an uncoded close."""

    NORMAL = 1000, "The page was left."
    GOING_AWAY = 1001, "The server or the page is going away."
    PROTOCOL = 1002, "A frame broke RFC 6455."
    UNSUPPORTED = 1003, "A kind of frame that is not taken here: send text frames."
    NOT_UTF8 = 1007, "A text frame was not valid UTF-8."
    POLICY = 1008, "A limit was passed again and again."
    TOO_BIG = 1009, "A message was larger than 64 KiB, or in too many fragments."
    INTERNAL = 1011, "A mistake of ours; it is in the server's log. Come back."
    RESTART = 1012, "The server restarts. Come back, at a moment of your own."
    BAD_MESSAGE = 4400, "A message could not be understood."
    UNAUTHENTICATED = 4401, "Not signed in, or no longer. Sign in before you come back."
    FORBIDDEN = 4403, "Not allowed: a foreign origin, an unknown subprotocol, a missing right."
    NOT_FOUND = 4404, "There is no socket at this path."
    SLOW = 4408, "The reader was too slow for too long. Come back."
    NO_PONG = 4410, "No answer to pings. Come back."
    RESYNC = 4413, "The stream has to begin anew. Come back without a cursor."
    RATE_LIMITED = 4429, "Too much, too fast. Come back after the wait in the reason."

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Close:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


# Codes after which a client must not come back by itself.
TERMINAL = (Close.UNAUTHENTICATED, Close.FORBIDDEN, Close.NOT_FOUND)
