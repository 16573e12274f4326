"""Who is on which dashboard: each person or token once, however many tabs they have.

To be there is to watch its presence (dashboard.watching), over whatever way. A process counts its
own tabs; what others count comes from a row of each (dashboard.presence_rows), and these are
written and read only while somebody is here. Touched only from the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from django import db

from dashboard import protocol
from dashboard.frames import Frame
from dashboard.presence_rows import LEASE_S, Content, Here, Rows, encode
from dashboard.ring import Ring
from dashboard.viewer import Viewer
from metrics.threads import beside_loop

SHOWN = 50  # names in a frame; of everybody else the number
TOLD = 2000  # names, over all dashboards, that other processes are told; of the rest the number
LINGER_S = 3.0  # who loads a page again, looks elsewhere for a moment or polls was there all along
GATHER_S = 0.1  # what happens together is told together
REST_S = 1.0  # between two frames of a dashboard, and between two looks at the rows
SYNC_S = 2.0
TICK_S = 0.5
LEAVE_S = 1.0  # of the five seconds that a stop may take


class Tabs:
    """Those of one person or token on one dashboard, in this process.

    `away`: none of them is looked at; None: there are none. That the last of a kind was closed
    counts LINGER_S later.
    """

    __slots__ = ("_open", "_until_s", "away", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.away: bool | None = None
        self._open = [0, 0]  # that are looked at, and that are not
        self._until_s = [0.0, 0.0]

    def open(self, away: bool) -> None:
        self._open[away] += 1

    def close(self, away: bool, now_s: float) -> None:
        self._open[away] -= 1
        if not self._open[away]:
            self._until_s[away] = now_s + LINGER_S

    def settle(self, now_s: float) -> bool:
        """Whether something has changed that is to be told."""
        before = self.away
        kinds = (kind for kind in (False, True) if self._counts(kind, now_s))
        self.away = next(kinds, None)
        return self.away is not before

    def lingers(self, now_s: float) -> bool:
        """Whether something will change by itself."""
        return any(self._counts(kind, now_s) and not self._open[kind] for kind in (False, True))

    def _counts(self, away: bool, now_s: float) -> bool:
        return self._open[away] > 0 or now_s < self._until_s[away]


class Board:
    """One dashboard: who is there, as it was told last, and the ring that tells it."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self.ring = Ring()
        self.tabs: dict[str, Tabs] = {}  # by Viewer.name
        self.calm = asyncio.Event()  # what has happened is told
        self.timer: asyncio.TimerHandle | None = None
        self.told_s = 0.0
        self._told: tuple[list[protocol.Person], int] = ([], 0)
        self._picture: Frame | None = None

    def tell(self, people: list[protocol.Person], others: int, now_s: float) -> None:
        """Appends a frame to the ring, unless that is what was told last."""
        if (people, others) != self._told:
            self._told, self.told_s = (people, others), now_s
            self._picture = None
            self.ring.append(self._frame)
        self.calm.set()

    async def picture(self) -> Frame:
        """Everybody, with whoever asks among them; made once for all who ask."""
        await self.calm.wait()
        if self._picture is None:
            self._picture = self._frame(self.ring.cursor)
        return self._picture

    def _frame(self, cursor: str) -> Frame:
        return Frame(protocol.encode(protocol.Presence(0, *self._told, cursor)), cursor)


class Elsewhere(NamedTuple):
    """What another process has told, and until when it holds (by our own clock)."""

    content: Content
    until_s: float


NOWHERE = Elsewhere({}, 0.0)


class Presence:
    """All dashboards on which somebody is. `on_told`: other processes find something new."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_told: Callable[[], None] = lambda: None,
        rows: Rows | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.news = asyncio.Event()  # here, or in another process: sync() is to be called
        self._loop = loop
        self._on_told = on_told
        self._rows = rows or Rows()
        self._clock = clock
        self._synced_s = clock() - REST_S
        self._boards: dict[str, Board] = {}
        self._lingering: set[tuple[Board, str]] = set()
        self._elsewhere: dict[str, Elsewhere] = {}

    def __len__(self) -> int:
        """How many people and tokens are on some dashboard in this process."""
        return len({key for board in self._boards.values() for key in board.tabs})

    # -- coming and going ------------------------------------------------------------------------

    def enter(self, viewer: Viewer, slug: str, away: bool) -> tuple[Board, Callable[[], None]]:
        """A tab is there; what is returned with the dashboard is to be called when it is not."""
        board = self._boards.get(slug)
        is_first = board is None
        if board is None:
            board = self._boards[slug] = Board(slug)
        tabs = board.tabs.get(viewer.name)
        if tabs is None:
            tabs = board.tabs[viewer.name] = Tabs(_name_of(viewer))
        tabs.open(away)
        if tabs.settle(self._clock()):
            self.news.set()
            if is_first:
                self._tell(board)
            else:
                self._tell_soon(board)
        return board, partial(self._close, board, viewer.name, away)

    def _close(self, board: Board, key: str, away: bool) -> None:
        board.tabs[key].close(away, self._clock())
        self._lingering.add((board, key))

    async def tick(self) -> None:
        """Looks for what changes by time alone."""
        now_s = self._clock()
        for board, key in list(self._lingering):
            tabs = board.tabs[key]
            if tabs.settle(now_s):
                self.news.set()
                self._tell_soon(board)
            if not tabs.lingers(now_s):
                self._lingering.discard((board, key))
                if tabs.away is None:
                    self._drop(board, key)
        for process, told in list(self._elsewhere.items()):
            if told.until_s <= now_s:
                del self._elsewhere[process]
                self._tell_soon(*self._among(told.content))

    def _drop(self, board: Board, key: str) -> None:
        del board.tabs[key]
        if not board.tabs:
            del self._boards[board.slug]
            if board.timer is not None:
                board.timer.cancel()

    # -- telling the watchers --------------------------------------------------------------------

    def _tell_soon(self, *boards: Board) -> None:
        for board in boards:
            board.calm.clear()
            if board.timer is None:
                wait_s = max(GATHER_S, board.told_s + REST_S - self._clock())
                board.timer = self._loop.call_later(wait_s, self._tell, board)

    def _tell(self, board: Board) -> None:
        board.timer = None
        now_s = self._clock()
        found: dict[str, tuple[bool, str]] = {
            key: (tabs.away, tabs.name) for key, tabs in board.tabs.items() if tabs.away is not None
        }
        more = 0
        for here in self._told_of(board.slug, now_s):
            more += here.more
            for key, name, away in here.people:
                known = found.get(key, (True, name))
                found[key] = (away and known[0], known[1])
        # Who looks comes first, so that with many of them those are named.
        order = ((away, name.casefold(), key, name) for key, (away, name) in found.items())
        people = [_person(key, name, away) for away, _, key, name in heapq.nsmallest(SHOWN, order)]
        board.tell(people, len(found) - len(people) + more, now_s)

    def _told_of(self, slug: str, now_s: float) -> Iterator[Here]:
        for told in self._elsewhere.values():
            if slug in told.content and now_s < told.until_s:
                yield told.content[slug]

    def _among(self, content: Content) -> list[Board]:
        return [self._boards[slug] for slug in content if slug in self._boards]

    # -- other processes -------------------------------------------------------------------------

    async def sync(self) -> None:
        """Tells the other processes who is here, and asks them the same. Raises database errors.

        Does nothing while nobody is here.
        """
        if not self._boards and not self._rows.are_there:
            return
        await asyncio.sleep(max(0.0, self._synced_s + REST_S - self._clock()))
        # The ages of rows are counted from before they are read: no row holds for too long.
        self._synced_s = self._clock()
        told, found = await beside_loop(self._rows.exchange, self._content())
        if told:
            self._on_told()
        until_s = self._synced_s + LEASE_S
        self._learn(
            {process: Elsewhere(one, until_s - age_s) for process, (one, age_s) in found.items()}
        )

    def _learn(self, found: dict[str, Elsewhere]) -> None:
        """Takes what the other processes tell now, and tells of it where that is something else."""
        before, self._elsewhere = self._elsewhere, found
        for process in before.keys() | found.keys():
            was, now = before.get(process, NOWHERE).content, found.get(process, NOWHERE).content
            if was is not now:
                self._tell_soon(*self._among(was), *self._among(now))

    def _content(self) -> str | None:
        """What the other processes are told: at most TOLD names; None when nobody is here."""
        left, content = TOLD, {}
        for slug, board in self._boards.items():
            there = [
                (key, tabs.name, tabs.away)
                for key, tabs in board.tabs.items()
                if tabs.away is not None
            ]
            content[slug] = Here(there[:left], len(there[left:]))
            left -= len(there[:left])
        return encode(content) if content else None

    async def stop(self) -> None:
        """Takes back what others were told, if the database answers soon."""
        for board in self._boards.values():
            if board.timer is not None:
                board.timer.cancel()
        if self._rows.are_there:
            with contextlib.suppress(TimeoutError, db.Error):
                async with asyncio.timeout(LEAVE_S):
                    await beside_loop(self._rows.leave)


def _name_of(viewer: Viewer) -> str:
    if viewer.user is None:
        return str(viewer.identity.name)
    return str(viewer.identity.get_username())


def _person(key: str, name: str, away: bool) -> protocol.Person:
    return protocol.Person(name, "token" if key.startswith("token ") else "person", away)
