"""The clients of a load test: good ones, ones that read slowly, ones that do not read."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Sequence
from itertools import cycle
from typing import cast

from dashboard.loadtest import wire
from dashboard.loadtest.figures import Tally, Trail, never_came
from dashboard.loadtest.plan import CannotTest, Plan
from dashboard.loadtest.reader import Reader, watching
from dashboard.loadtest.wire import UPDATE

READY_TIMEOUT_S = 30.0
CONNECTING_AT_ONCE = 25  # a server lets so many sockets of an address be without a hello
SLOW_REST_S = 1.0
SMALL_BUFFER_BYTES = 4096  # of the kernel, for those that do not keep up: so that it shows
LOOK_AGAIN_S = 0.2
COME_BACK_S = 1.0  # after the server closed a socket, as a page does


class Client(Reader):
    """One socket of a seat."""

    looking = True

    def __init__(self, seat: Seat) -> None:
        plan = seat.plan
        cursors = {id: trail.cursor for id, trail in seat.trails.items()}
        for trail in seat.trails.values():
            trail.begins = True
        greeting = watching(
            seat.token,
            plan.expressions,
            subprotocol=plan.subprotocol,
            cursors=cursors,
        )
        super().__init__(plan.target.netloc, greeting)
        self._seat = seat

    def look(self, kind: int, data: bytes, start: int, stop: int) -> None:
        if self._left or self._seat.client is not self:
            return  # the next socket of the seat goes on from the cursor that is known already
        look = wire.look_at(kind, data, start, stop)
        if look is not None:
            self._seat.saw(look, fresh=look.kind == UPDATE and self.ready.done())

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._seat.kind == "slow" and self.ready.done():
            self._seat.rest()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._seat.lost(self)


class Seat:
    """One client, over all its sockets; `kind` is good, slow or stuck."""

    def __init__(self, plan: Plan, kind: str, token: str, tally: Tally) -> None:
        self.plan = plan
        self.kind = kind
        self.token = token
        self.trails = {id: Trail() for id in range(1, len(plan.expressions) + 1)}
        self.client: Client | None = None
        self.closed_s = 0.0  # when its socket was closed, not by us
        self.leaving = False
        self._tally = tally

    @property
    def is_away(self) -> bool:
        """Whether the server closed its socket and it has not come back."""
        return self.client is None and self.closed_s > 0 and not self.leaving

    async def open(self) -> None:
        """Connects and waits for the first answers. Raises ConnectionError and OSError."""
        target, loop = self.plan.target, asyncio.get_running_loop()
        client = self.client = Client(self)
        self.leaving = False
        if self.kind == "good":
            connecting = loop.create_connection(
                client.itself, target.host, target.port, ssl=target.tls
            )
        else:
            found = await asyncio.to_thread(_small_socket, target.host, target.port)
            name = target.host if target.secure else None
            connecting = loop.create_connection(
                client.itself, sock=found, ssl=target.tls, server_hostname=name
            )
        await connecting
        async with asyncio.timeout(READY_TIMEOUT_S):
            await client.ready
        if self.kind == "stuck":
            client.pause()

    def saw(self, look: wire.Look, fresh: bool) -> None:
        trail = self.trails.get(look.watch)
        if trail is None:
            return
        value = trail.take(look, self._tally)
        if value is None:
            return
        self._tally.shown += 1
        if not fresh:
            self._tally.stale += 1
        elif self.kind == "good":
            self._tally.late(time.time() * 1000 - value)

    def rest(self) -> None:
        """Reads again after a while."""
        client = self.client
        if client is not None:
            client.pause()
            asyncio.get_running_loop().call_later(SLOW_REST_S, client.resume)

    def lost(self, client: Client) -> None:
        self._tally.frames_before += client.frames
        self._tally.bytes_before += client.bytes
        if client is not self.client:
            return
        self.client = None
        if not self.leaving:
            self.closed_s = asyncio.get_running_loop().time()
            self._tally.closed(client.code, client.reason)

    def leave(self) -> None:
        """Ends its socket as a page does that is left."""
        self.leaving = True
        if self.client is not None:
            self.client.leave()


class Fleet:
    """All clients. Tokens are used in turn: a server lets one have so many sockets only."""

    def __init__(self, plan: Plan, tokens: Sequence[str]) -> None:
        self.tally = Tally()
        self.plan = plan
        self.churn = plan.churn
        turns = cycle(tokens)
        self.seats = [Seat(plan, kind, next(turns), self.tally) for kind in plan.kinds]
        self._reopening: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> int:
        return sum(seat.client is not None and seat.client.ready.done() for seat in self.seats)

    def frames(self) -> int:
        return self.tally.frames_before + sum(s.client.frames for s in self.seats if s.client)

    def bytes(self) -> int:
        return self.tally.bytes_before + sum(s.client.bytes for s in self.seats if s.client)

    async def open(self) -> None:
        """Opens all. Raises CannotTest with what the server said."""
        for first in range(0, len(self.seats), CONNECTING_AT_ONCE):
            group = self.seats[first : first + CONNECTING_AT_ONCE]
            try:
                await asyncio.gather(*(seat.open() for seat in group))
            except (OSError, TimeoutError) as error:
                raise CannotTest(_why(error, first)) from None

    async def reconnect(self) -> None:
        """Reconnects sockets for ever: those the server closed, and as many as churn asks for."""
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while True:
            for seat in self.seats:
                if seat.is_away and loop.time() >= seat.closed_s + COME_BACK_S:
                    self._reopen(seat)
            if self.churn:
                next_s = max(next_s + 1 / self.churn, loop.time() - 1)
                seat = random.choice(self.seats)
                if seat.kind == "good" and seat.client is not None and seat.client.ready.done():
                    seat.leave()
                    self._reopen(seat)
            await asyncio.sleep(max(0.0, next_s - loop.time()) if self.churn else LOOK_AGAIN_S)

    def _reopen(self, seat: Seat) -> None:
        seat.closed_s = 0.0
        task = asyncio.get_running_loop().create_task(self._come_back(seat))
        self._reopening.add(task)
        task.add_done_callback(self._reopening.discard)

    async def _come_back(self, seat: Seat) -> None:
        try:
            await seat.open()
            self.tally.reconnects += 1
        except (OSError, TimeoutError):
            seat.closed_s = asyncio.get_running_loop().time()

    async def settle(self, sent_ms: Sequence[float], seconds: float) -> None:
        """Waits until every good client has seen the newest value, or that long."""
        end_s = asyncio.get_running_loop().time() + seconds
        while self.missing(sent_ms) and asyncio.get_running_loop().time() < end_s:
            await asyncio.sleep(0.02)

    def missing(self, sent_ms: Sequence[float]) -> int:
        """Values that neither came nor were followed by a newer one, at the good clients."""
        good = (seat for seat in self.seats if seat.kind == "good")
        return sum(
            never_came(sent_ms, trail.newest) for seat in good for trail in seat.trails.values()
        )

    def shown_good(self) -> int:
        good = (seat for seat in self.seats if seat.kind == "good")
        return sum(trail.shown for seat in good for trail in seat.trails.values())

    async def hear_why(self, seconds: float) -> None:
        """Lets those that did not read hear why they were closed, if they were."""
        waiting = [s for s in self.seats if s.kind == "stuck" and s.client is not None]
        for seat in waiting:
            cast(Client, seat.client).resume()
        if waiting:
            await asyncio.sleep(seconds)

    def close(self) -> None:
        for task in self._reopening:
            task.cancel()
        for seat in self.seats:
            seat.leaving = True
            if seat.client is not None:
                with contextlib.suppress(AttributeError):  # not connected yet
                    seat.client.close()


def _small_socket(host: str, port: int) -> socket.socket:
    """Connected, with little room in the kernel, which must be asked for before."""
    error: OSError | None = None
    for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        found = socket.socket(family, kind)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
            found.connect(address)
            found.setblocking(False)
            return found
        except OSError as refused:
            found.close()
            error = refused
    raise error or OSError(f"{host} has no address")


def _why(error: Exception, opened: int) -> str:
    text = str(error) or "it did not answer within 30 s"
    said = f"After {opened:,} sockets the server let no further one in: {text}."
    if "4401" in text:
        return (
            f"The server does not know the token ({text}): give one of that server with --token "
            "(manage.py token NAME --scope read), or run this with the server's own DATABASE_URL "
            "or DATA_DIR so that it can make one"
        )
    if "4429" in text:
        return (
            f"{said} Give --token several times (at most CONNECTIONS_PER_USER sockets each), or "
            "start the server with CONNECTIONS_PER_USER and CONNECTIONS large enough"
        )
    if "error" in text:
        return f"{said} Fewer --series, or more --watches to spread them over, may do"
    return said
