"""A lease: of several processes, one does the job; when it dies, another takes over.

A lease is a row. Whoever takes it writes a name that nobody else has and nobody had before; every
transaction of the job begins with renew(), which finds that name or fails. So a process that was
asleep and wakes when its job is another's can no longer write, whatever the clocks say: they only
decide how soon a lease changes hands.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from metrics.clock import now_ms
from metrics.models import Lease as Row

TTL_MS = 20_000  # another takes over so long after the last renewal
RENEW_MS = 5_000
KEEPER = "keeper"  # seals, rolls up, expires: whoever changes chunks
_HOST_CHARACTERS = 50


class LeaseLost(Exception):
    """The lease is another's: nothing of this transaction may be kept."""


class Lease:
    """This process's hold on the lease `name`, or its wait for it. Not thread-safe.

    `clock_ms` gives milliseconds since 1970, `steady_ms` some that never go back.
    """

    def __init__(
        self,
        name: str = KEEPER,
        *,
        clock_ms: Callable[[], int] = now_ms,
        steady_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self.name = name
        self._clock_ms = clock_ms
        self._steady_ms = steady_ms
        self._holder = ""
        self._renewed_ms = 0  # steady
        self._seen: tuple[str, int] | None = None
        self._seen_ms = 0  # steady

    @property
    def held(self) -> bool:
        """Whether this process had it when it last looked."""
        return bool(self._holder)

    def take(self) -> bool:
        """Takes the lease if it is free, given back or expired; whether it is held now."""
        if self.held:
            return True
        found = Row.objects.filter(name=self.name).values_list("holder", "expires_at_ms").first()
        if found is None:
            Row.objects.bulk_create(
                [Row(name=self.name, holder="", expires_at_ms=0)], ignore_conflicts=True
            )
            found = ("", 0)
        if not self._is_free(found):
            return False
        holder, expires_at_ms = found
        mine = _new_holder()
        before = Row.objects.filter(name=self.name, holder=holder, expires_at_ms=expires_at_ms)
        began_ms = self._steady_ms()
        if before.update(holder=mine, expires_at_ms=self._clock_ms() + TTL_MS):
            self._holder = mine
            self._renewed_ms = began_ms
        return self.held

    def _is_free(self, found: tuple[str, int]) -> bool:
        holder, expires_at_ms = found
        if not holder or expires_at_ms <= self._clock_ms():
            return True
        # The clock may have been set back: whoever lives renews, and then the row changes.
        if found != self._seen:
            self._seen, self._seen_ms = found, self._steady_ms()
        return self._steady_ms() - self._seen_ms >= TTL_MS

    def renew(self) -> None:
        """Holds on to the lease; inside a transaction nobody can take it before the commit.

        Raises LeaseLost when it is another's.
        """
        began_ms = self._steady_ms()
        mine = Row.objects.filter(name=self.name, holder=self._holder) if self._holder else None
        if mine is None or not mine.update(expires_at_ms=self._clock_ms() + TTL_MS):
            self._holder = ""
            raise LeaseLost(f"another process has taken the lease {self.name!r}")
        self._renewed_ms = began_ms

    def renew_when_due(self) -> None:
        """renew(), every few seconds. Raises LeaseLost."""
        if self._steady_ms() - self._renewed_ms >= RENEW_MS:
            self.renew()

    def release(self) -> None:
        """Gives it back: another may take it at once. Does nothing when it is not held."""
        if self._holder:
            holder, self._holder = self._holder, ""
            mine = Row.objects.filter(name=self.name, holder=holder)
            mine.update(holder="", expires_at_ms=0)


@contextmanager
def holding(lease: Lease | None = None) -> Iterator[Lease]:
    """This lease, or the keeper's for as long as the block lasts. Raises LeaseLost."""
    if lease is not None:
        yield lease
        return
    lease = Lease()
    if not lease.take():
        raise LeaseLost("another process does the background jobs now: try again when it ended")
    try:
        yield lease
    finally:
        lease.release()


def _new_holder() -> str:
    host = socket.gethostname()[:_HOST_CHARACTERS]
    return f"{host}:{os.getpid()}:{secrets.token_hex(8)}"
