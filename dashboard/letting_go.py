"""A rolling restart's way to part: clients go a few at a time, while the rest are served.

Who is told to go comes back at once, to a process that is ready for it. So nobody is without live
data for longer than its own reconnect takes, however many there are, and the processes that take
over have as many handshakes a second as they can do.
"""

from __future__ import annotations

import asyncio

from dashboard.members import Members
from dashboard.protocol import Bye, Close, encode

CLIENTS_PER_S = 500.0
LONGEST_S = 20.0  # more clients than that takes go faster
TURN_S = 0.02
MOMENT_MS = (0, 100)


async def let_go(members: Members) -> None:
    """Returns once every client that was there has been told and its socket closed."""
    waiting = list(members)
    turns = min(LONGEST_S, len(waiting) / CLIENTS_PER_S) / TURN_S
    at_once = max(1, round(len(waiting) / max(1.0, turns)))
    bye = encode(Bye(int(Close.RESTART), "restarting", MOMENT_MS))
    while waiting:
        going, waiting = waiting[:at_once], waiting[at_once:]
        for connection in going:
            connection.say(bye)
        await asyncio.sleep(TURN_S)  # the word is on its way before the socket closes
        members.end_these(going, Close.RESTART, "restarting: come back now")
