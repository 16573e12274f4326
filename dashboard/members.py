"""The connections of this process: who they belong to, and how to end them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from dashboard import protocol
from dashboard.connection import Connection
from dashboard.garbage import Apart
from dashboard.granted import why_not
from dashboard.protocol import Close
from dashboard.sharing import Grants
from dashboard.viewer import Viewer

EXPECTED_PER_ADDRESS = 50  # sockets that have not said yet whose they are

# When clients come back after a goodbye.
SOONEST_MS = 100
MOMENT_MS = 100  # how exactly a client is told
APART_MS = 2
LEAST_SPREAD_MS = 300
MOST_SPREAD_MS = 20_000

End = Callable[[Close, str], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Member:
    viewer: Viewer
    end: End


class Members:
    """Touched only from the event loop, but for end_where()."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._members: dict[Connection, Member] = {}
        self._sockets: Counter[str] = Counter()  # by person or token
        self._expected: Counter[str] = Counter()  # by address
        self._ending: set[asyncio.Task[None]] = set()
        self._apart = Apart()

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._members)

    def viewers(self) -> set[Viewer]:
        return {member.viewer for member in self._members.values()}

    def refusal(self, viewer: Viewer) -> str:
        """Why this person or token may not open another socket; empty when they may."""
        if len(self._members) >= settings.CONNECTIONS:
            return "the server has as many sockets as it may: come back in 30 s"
        if self._sockets[viewer.name] >= settings.CONNECTIONS_PER_USER:
            return f"at most {settings.CONNECTIONS_PER_USER} sockets at once: come back in 30 s"
        return ""

    def join(self, connection: Connection, viewer: Viewer, end: End) -> None:
        self._members[connection] = Member(viewer, end)
        self._sockets[viewer.name] += 1
        self._apart.more(len(self._members))

    def leave(self, connection: Connection) -> None:
        member = self._members.pop(connection, None)
        if member is not None:
            _count_down(self._sockets, member.viewer.name)

    def tidy(self) -> None:
        """Frees what those who have left may have left behind; to be called now and then."""
        self._apart.tidy(len(self._members))

    def expect(self, address: str) -> bool:
        """Notes a socket that is still to say whose it is; False when too many do already."""
        if self._expected[address] >= EXPECTED_PER_ADDRESS:
            return False
        self._expected[address] += 1
        return True

    def expect_no_more(self, address: str) -> None:
        _count_down(self._expected, address)

    def say_goodbye(self, close: Close, reason: str) -> None:
        """Tells every client that its socket closes now, and its own moment to come back.

        The more there are the longer it takes until the last one comes: each costs the server,
        or the one that takes over, a handshake and its snapshots.
        """
        count = len(self._members)
        spread_ms = min(MOST_SPREAD_MS, max(LEAST_SPREAD_MS, APART_MS * count))
        for number, connection in enumerate(self._members):
            from_ms = SOONEST_MS + spread_ms * number // count
            moment = from_ms, from_ms + MOMENT_MS
            connection.say(protocol.encode(protocol.Bye(int(close), reason, moment)))

    def end_where(self, why: Callable[[Viewer], str], code: Close) -> None:
        """Closes sockets of those for whom there is a reason, as `why` tells; any thread."""
        with contextlib.suppress(RuntimeError):  # a loop that has ended has no sockets
            self._loop.call_soon_threadsafe(self._end_where, why, code)

    def end_these(self, connections: Iterable[Connection], code: Close, reason: str) -> None:
        """Closes the sockets of these that are still here."""
        for connection in connections:
            member = self._members.get(connection)
            if member is not None:
                self._end(member, code, reason)

    def limit(self, accounts: Mapping[int, Grants]) -> None:
        """Ends the watches of these accounts that are not (or no longer) granted to them."""
        for connection, member in self._members.items():
            grants = accounts.get(member.viewer.user or 0)
            if grants is None:
                continue
            gone = [one for one in connection.watches.values() if not grants.allow(one.subject)]
            told = [connection.forbid(one, why_not(one.subject)) for one in gone]
            if not all(told):
                self._end(member, Close.POLICY, "too many answers wait to be read: read them")

    def _end_where(self, why: Callable[[Viewer], str], code: Close) -> None:
        for member in self._members.values():
            reason = why(member.viewer)
            if reason:
                self._end(member, code, reason)

    def _end(self, member: Member, code: Close, reason: str) -> None:
        task = self._loop.create_task(member.end(code, reason))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _count_down(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
