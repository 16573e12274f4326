"""What the people connected to this process may watch, as it was read last.

A watch is allowed by what is known, and refused only after the database was asked anew. What is
known is looked at again twice a second, and at once when this process or a ring says that rights
have changed; watches that are not allowed any longer end then (dashboard.rights, dashboard.hub).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from django.conf import settings

from dashboard.asking import Asking
from dashboard.protocol import WatchRefused
from dashboard.sharing import EVERYTHING, Grants, Subject, Topic, grants_of
from dashboard.viewer import Viewer
from metrics.threads import beside_loop

HOLDS_S = 1.0  # while the database does not answer nobody begins to watch by older rights
NOT_SHARED = "not on a dashboard that is shared with you"
NO_BOARD = "there is no such dashboard that you may see"


class Known(NamedTuple):
    """`number`: of the reading it comes from; a higher one was begun later, at `at_s`."""

    grants: Grants
    number: int
    at_s: float


class Granted:
    """Touched only from the event loop. `on_change` is told what accounts may watch from now on,
    those of which it is not known that they could before."""

    def __init__(
        self,
        on_change: Callable[[Mapping[int, Grants]], None],
        read: Callable[[set[int]], dict[int, Grants]] = grants_of,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_change = on_change
        self._read_grants = read
        self._clock = clock
        self._numbers = itertools.count()
        self._known: dict[int, Known] = {}
        self._asking: Asking[int, Known] = Asking(self._read, keep_s=0)

    async def admit(self, viewer: Viewer, subject: Subject) -> None:
        """Raises WatchRefused if they may not watch it, and database errors."""
        if viewer.user is None or settings.READ_ALL:
            return
        known = self._known.get(viewer.user)
        if known is None or not self._holds(known) or not known.grants.allow(subject):
            self._asking.forget()  # what was asked before may just have changed
            answer = await self._asking.get(viewer.user)
            self._learn({viewer.user: answer} if answer else {})
            self.check(viewer, subject)

    def check(self, viewer: Viewer, subject: Subject) -> None:
        """Raises WatchRefused if they may not watch it by what is known: to be called when
        something has taken its time since admit()."""
        if viewer.user is None or settings.READ_ALL:
            return
        known = self._known.get(viewer.user)
        if known is None or not known.grants.allow(subject):
            raise WatchRefused("forbidden", why_not(subject))

    async def look(self, viewers: Collection[Viewer]) -> None:
        """Reads again what these may watch, who are all that are connected. Raises database
        errors."""
        accounts = {viewer.user for viewer in viewers if viewer.user is not None}
        for account in self._known.keys() - accounts:
            del self._known[account]
        if settings.READ_ALL or not accounts:
            return
        self._learn(await beside_loop(self._read, accounts))

    def _holds(self, known: Known) -> bool:
        return self._clock() - known.at_s < HOLDS_S

    def _read(self, accounts: set[int]) -> dict[int, Known]:
        """On a thread."""
        number, at_s = next(self._numbers), self._clock()
        return {
            account: Known(grants, number, at_s)
            for account, grants in self._read_grants(accounts).items()
        }

    def _learn(self, found: Mapping[int, Known]) -> None:
        """Takes what was read, unless something newer is known: readings may overtake others."""
        changed = {}
        for account, new in found.items():
            old = self._known.get(account)
            if old is not None and old.number >= new.number:
                continue
            self._known[account] = new
            if new.grants is not EVERYTHING and (old is None or old.grants is not new.grants):
                changed[account] = new.grants
        if changed:
            self._on_change(changed)


def why_not(subject: Subject | None) -> str:
    """The sentence for who may not watch something, or may not any longer."""
    if isinstance(subject, Topic) and subject.kind == "presence":
        return NO_BOARD
    if isinstance(subject, Topic) and subject.kind == "metrics":
        return "you see only the dashboards that are shared with you"
    what = "events are" if isinstance(subject, Topic) else "this expression is"
    return f"{what} {NOT_SHARED}"
