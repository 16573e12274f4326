"""The lease: one process at a time, and another within 30 s when that one dies."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from metrics import lease
from metrics.lease import RENEW_MS, TTL_MS, Lease, LeaseLost
from metrics.models import Lease as Row
from tests.support.store import Program

TAKEOVER_MS = 30_000

HOLDS = """
from metrics.lease import Lease
assert Lease().take()
print("held", flush=True)
input()
"""


class Clocks:
    """A clock that may be set, and one that only goes on."""

    def __init__(self, ms: int = 1_790_000_000_000) -> None:
        self.ms = ms
        self.steady_ms = 0

    def passes(self, ms: int) -> None:
        self.ms += ms
        self.steady_ms += ms


def new_lease(clocks: Clocks) -> Lease:
    return Lease(clock_ms=lambda: clocks.ms, steady_ms=lambda: clocks.steady_ms)


def test_a_held_lease_is_refused_to_another(store: str) -> None:
    clocks = Clocks()
    first, second = new_lease(clocks), new_lease(clocks)
    assert first.take()
    clocks.passes(TTL_MS - 1)
    assert not second.take()
    assert first.held and not second.held


def test_who_no_longer_has_it_may_not_write(store: str) -> None:
    clocks = Clocks()
    first, second = new_lease(clocks), new_lease(clocks)
    assert first.take()
    clocks.passes(TTL_MS)
    assert second.take()
    with pytest.raises(LeaseLost, match="another process has taken the lease 'keeper'"):
        first.renew()
    assert not first.held
    second.renew()


def test_who_lost_it_and_has_it_again_still_may_not_finish_what_it_began(store: str) -> None:
    """What it read before is another's work by now: each taking is a new one."""
    clocks = Clocks()
    first, second = new_lease(clocks), new_lease(clocks)
    assert first.take()
    before = Row.objects.get().holder
    clocks.passes(TTL_MS)
    assert second.take()
    second.release()
    with pytest.raises(LeaseLost):
        first.renew()
    assert first.take()
    assert Row.objects.get().holder != before


def test_a_transaction_after_the_loss_leaves_nothing_behind(store: str) -> None:
    clocks = Clocks()
    first, second = new_lease(clocks), new_lease(clocks)
    first.take()
    clocks.passes(TTL_MS)
    second.take()
    with pytest.raises(LeaseLost), transaction.atomic():
        Row.objects.create(name="written too early", holder="", expires_at_ms=0)
        first.renew()
    assert Row.objects.count() == 1


def test_it_is_renewed_every_few_seconds_and_kept(store: str) -> None:
    clocks = Clocks()
    first, second = new_lease(clocks), new_lease(clocks)
    assert first.take()
    for _ in range(10):
        clocks.passes(RENEW_MS)
        first.renew_when_due()
        assert not second.take()
    assert first.take()


def test_it_is_not_renewed_more_often(store: str) -> None:
    clocks = Clocks()
    first = new_lease(clocks)
    first.take()
    expires_at_ms = Row.objects.get().expires_at_ms
    clocks.passes(RENEW_MS - 1)
    first.renew_when_due()
    assert Row.objects.get().expires_at_ms == expires_at_ms


def test_an_expired_lease_that_nobody_took_is_still_its_holders(store: str) -> None:
    clocks = Clocks()
    first = new_lease(clocks)
    first.take()
    clocks.passes(10 * TTL_MS)
    first.renew()
    assert first.held


def test_a_lease_that_is_given_back_is_free_at_once(store: str) -> None:
    clocks = Clocks()
    first, second = new_lease(clocks), new_lease(clocks)
    first.take()
    first.release()
    assert second.take()
    first.release()  # a second time does nothing
    second.renew()


@pytest.mark.parametrize("hours", [-24 * 365 * 50, -24, -1])
def test_a_clock_that_is_set_back_keeps_nobody_waiting(store: str, hours: int) -> None:
    """The dead one's lease then seems to last for hours; but nobody renews it."""
    clocks = Clocks()
    first, second = new_lease(clocks), new_lease(clocks)
    assert first.take()
    clocks.ms += hours * 3_600_000
    assert not second.take()
    clocks.passes(TTL_MS)
    assert second.take()


def test_one_that_lives_is_not_robbed_when_the_clock_is_set_back(store: str) -> None:
    clocks = Clocks()
    first, second = new_lease(clocks), new_lease(clocks)
    assert first.take()
    clocks.ms -= 3_600_000
    for _ in range(10):
        clocks.passes(RENEW_MS)
        first.renew_when_due()
        assert not second.take()


def test_leases_of_other_names_are_independent(store: str) -> None:
    assert Lease("keeper").take()
    assert Lease("other").take()


def test_a_block_needs_the_lease_and_gives_it_back(store: str) -> None:
    with lease.holding() as held:
        assert held.held
        with pytest.raises(LeaseLost, match="another process does the background jobs"):
            lease.holding().__enter__()
    with lease.holding() as again:
        assert again.held
        with lease.holding(again) as same:
            assert same is again


def test_of_many_that_try_together_one_gets_it(store: str) -> None:
    everybody = threading.Barrier(8)

    def attempt(_: int) -> bool:
        try:
            connection.ensure_connection()
            everybody.wait(10)
            return Lease().take()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(attempt, range(8))) == [False] * 7 + [True]


def test_another_takes_over_within_30_s_when_the_holder_is_killed(store: str) -> None:
    program = Program(store, HOLDS).started().go()
    assert program.line() == "held\n"
    os.kill(program.pid, signal.SIGKILL)
    program.finish(-signal.SIGKILL)
    row = Row.objects.get()
    assert f":{program.pid}:" in row.holder
    clocks = Clocks(row.expires_at_ms - TTL_MS)  # when it was killed, at the latest
    other = new_lease(clocks)
    assert not other.take()
    clocks.passes(TAKEOVER_MS - 5_000)  # others look every few seconds
    assert other.take()
