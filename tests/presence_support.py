"""Watching who is on a dashboard, for tests."""

from __future__ import annotations

import asyncio
from typing import Protocol

from dashboard import protocol
from tests.support.waiting import DEADLINE_S

HERE, AWAY = False, True
People = set[tuple[str, bool]]  # names, and who of them is away


class Hears(Protocol):
    async def get(
        self, kind: type[protocol.Presence], id: int | None = None
    ) -> protocol.Presence: ...


def people(frame: protocol.Presence) -> People:
    """Those named; each once."""
    found = {(one.name, one.away) for one in frame.people}
    assert len(found) == len(frame.people)
    return found


async def until_there(client: Hears, wanted: People, id: int = 1) -> protocol.Presence:
    """Reads on until exactly these are on the dashboard; the last frame."""
    seen: People = set()
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                frame = await client.get(protocol.Presence, id)
                seen = people(frame)
                if seen == wanted:
                    return frame
    except TimeoutError:
        raise AssertionError(f"expected {wanted}, and {seen} are there") from None
