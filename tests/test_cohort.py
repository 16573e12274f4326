"""Many before one dashboard: everybody is told everything, whoever comes, goes or stops reading."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import sinks
from dashboard.cohort import Part
from dashboard.connection import Connection
from dashboard.frames import Form, Frame
from dashboard.ring import Ring
from dashboard.sinks import DirectSink, Pump
from dashboard.watch import Watch
from metrics import stats

RINGS, BROWSERS = 3, 5


def message(kind: str, cursor: str) -> Frame:
    return Frame(
        json.dumps({"type": kind, "id": 0, "cursor": cursor}, separators=(",", ":")), cursor
    )


class Browser:
    """A socket that takes frames, and what was heard on it; fails where a frame is missing."""

    on_writable: Callable[[], None] | None = None
    before_close: Callable[[], None] | None = None

    def __init__(self, form: Form = Form.JSON_FRAMED) -> None:
        self.reads = True
        self.writes = 0
        self.heard: list[dict[str, Any]] = []
        self.at: dict[int, str] = {}  # the last cursor, by watch
        self.broken = False
        self.closed = 0
        self.connection = Connection(DirectSink(self, form))

    def may_write(self) -> bool:
        return self.reads and not self.closed

    def write(self, frames: bytes) -> None:
        if self.broken:
            raise OSError("broken")
        self.writes += 1
        while frames:
            start = 2 if frames[1] < 126 else 4
            size = frames[1] if start == 2 else int.from_bytes(frames[2:4], "big")
            self._hear(json.loads(frames[start : start + size]))
            frames = frames[start + size :]

    def close(self, code: int, reason: str) -> None:
        self.closed = code

    def watch(self, ring: Ring, id: int) -> None:
        async def picture() -> Frame:
            return message("snapshot", ring.cursor)

        self.at[id] = ""
        self.connection.add(Watch(id, picture, ring))

    def unwatch(self, id: int) -> None:
        self.at.pop(id, None)
        self.connection.remove(id)

    def read_on(self) -> None:
        self.reads = True
        if self.on_writable is not None:
            self.on_writable()

    def _hear(self, said: dict[str, Any]) -> None:
        self.heard.append(said)
        if said["type"] == "update":
            epoch, number = said["cursor"].split(":")
            assert self.at[said["id"]] == f"{epoch}:{int(number) - 1}", "the one before it was told"
        if "cursor" in said:
            assert said["id"] in self.at, "nobody is told what is not watched"
            self.at[said["id"]] = said["cursor"]

    def last(self, kind: str) -> Any:
        return next((one for one in reversed(self.heard) if one["type"] == kind), None)


def tell(ring: Ring) -> None:
    ring.append(lambda cursor: message("update", cursor))


async def quiet() -> None:
    """Until everything that could be written was."""
    for _ in range(300):
        await asyncio.sleep(0)


async def crowd(rings: Sequence[Ring], size: int) -> list[Browser]:
    """Browsers that watch all of these rings and have been told everything, together."""
    browsers = [Browser() for _ in range(size)]
    for browser in browsers:
        for id, ring in enumerate(rings):
            browser.watch(ring, id)
    await quiet()
    return browsers


def together(ring: Ring) -> int:
    """How many cohorts read a ring; nobody else does."""
    assert all(isinstance(reader, Part) for reader in ring.readers)
    return len(ring.readers)


# --- refusals and failures -------------------------------------------------------------------


async def test_whose_right_went_is_told_nothing_more_and_the_others_are() -> None:
    ring, other = Ring(), Ring()
    browsers = await crowd([ring, other], 3)
    tell(ring)  # it waits to be written when the right goes
    one = browsers[0]
    watch = one.connection.watches[0]
    one.at.pop(0)
    assert one.connection.forbid(watch, "no longer")
    tell(other)
    await quiet()
    assert one.last("error")["code"] == "forbidden"
    assert one.at == {1: other.cursor}
    assert all(browser.at == {0: ring.cursor, 1: other.cursor} for browser in browsers[1:])


async def test_a_socket_that_breaks_is_closed_and_nobody_else_notices() -> None:
    ring = Ring()
    browsers = await crowd([ring], 3)
    browsers[1].broken = True
    tell(ring)
    await quiet()
    assert [browser.closed for browser in browsers] == [0, 1011, 0]
    assert browsers[0].at == browsers[2].at == {0: ring.cursor}


async def test_who_does_not_read_holds_nobody_up_and_goes_on_where_it_was() -> None:
    ring = Ring()
    browsers = await crowd([ring], 3)
    browsers[0].reads = False
    for _ in range(3):
        tell(ring)
        await quiet()
    assert browsers[1].at == browsers[2].at == {0: ring.cursor}
    assert browsers[0].at != browsers[1].at
    browsers[0].read_on()
    await quiet()
    assert browsers[0].at == {0: ring.cursor}
    assert together(ring) == 1, "it has joined the others again"


async def test_a_frame_that_cannot_be_made_ends_no_pump(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring()
    browsers = await crowd([ring], 2)

    def fail(*_: object) -> bytes:
        raise ValueError("a mistake of ours")

    with monkeypatch.context() as failing:
        failing.setattr(Frame, "_make", fail)
        tell(ring)
        await quiet()
    assert [browser.closed for browser in browsers] == [1011, 1011]
    (late,) = await crowd([ring], 1)
    assert late.at == {0: ring.cursor}


# --- together --------------------------------------------------------------------------------


async def test_a_crowd_is_written_the_same_bytes_once_for_all_panels() -> None:
    stats.reset()
    rings = [Ring() for _ in range(RINGS)]
    browsers = await crowd(rings, 4)
    before = [browser.writes for browser in browsers]
    frames = stats.snapshot().counters["frames_sent_total"]
    for ring in rings:
        tell(ring)
    await quiet()
    assert [browser.writes for browser in browsers] == [writes + 1 for writes in before]
    assert stats.snapshot().counters["frames_sent_total"] == frames + 4 * RINGS
    assert [together(ring) for ring in rings] == [1] * RINGS
    assert len(Pump.of_loop().cohorts) == 1


async def test_a_heartbeat_reaches_everybody_without_parting_them() -> None:
    ring = Ring()
    browsers = await crowd([ring], 3)
    for browser in browsers:
        browser.connection.beat('{"type":"heartbeat","server_ms":7}')
    await quiet()
    assert all(browser.last("heartbeat")["server_ms"] == 7 for browser in browsers)
    assert together(ring) == 1


async def test_a_ring_that_begins_anew_brings_everybody_a_snapshot() -> None:
    ring = Ring()
    browsers = await crowd([ring], 3)
    ring.begin()
    await quiet()
    assert all(browser.heard[-1]["type"] == "snapshot" for browser in browsers)
    assert all(browser.at == {0: ring.cursor} for browser in browsers)


async def test_nothing_is_left_of_a_crowd_that_went() -> None:
    ring = Ring()
    for browser in await crowd([ring], 3):
        browser.connection.close()
    assert not ring.readers
    assert not len(Pump.of_loop().cohorts)


# --- whatever happens ------------------------------------------------------------------------

one_ring, one_browser = st.integers(0, RINGS - 1), st.integers(0, BROWSERS - 1)
happenings = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("tell", "tell", "anew")), one_ring, one_browser),
        st.tuples(st.sampled_from(("watch", "unwatch")), one_ring, one_browser),
        st.tuples(st.sampled_from(("say", "block", "read", "close")), one_ring, one_browser),
        st.tuples(st.sampled_from(("beat", "turn", "turn", "quiet")), one_ring, one_browser),
    ),
    max_size=60,
)


@given(happenings)
def test_everybody_is_told_everything_in_order(happened: list[tuple[str, int, int]]) -> None:
    asyncio.run(_live_through(happened))


async def _live_through(happened: list[tuple[str, int, int]]) -> None:
    usual = sinks.IN_A_ROW, sinks.SLICE_S
    sinks.IN_A_ROW, sinks.SLICE_S = 2, -1.0  # rounds are interrupted
    try:
        rings = [Ring() for _ in range(RINGS)]
        browsers = await crowd(rings, BROWSERS)
        for number, (what, ring, who) in enumerate(happened):
            await _happen(what, rings[ring], ring, browsers, browsers[who], number)
        for browser in browsers:
            browser.read_on()
        await quiet()
        for ring_ in rings:
            tell(ring_)
        await quiet()
    finally:
        sinks.IN_A_ROW, sinks.SLICE_S = usual
    open_ = [browser for browser in browsers if not browser.closed]
    for browser in open_:
        assert browser.at == {id: rings[id].cursor for id in browser.connection.watches}
    plans = {tuple(browser.connection.watches) for browser in open_} - {()}
    assert len(Pump.of_loop().cohorts) == len(plans)
    assert all(isinstance(reader, Part) for ring_ in rings for reader in ring_.readers)


async def _happen(
    what: str, ring: Ring, id: int, browsers: list[Browser], browser: Browser, number: int
) -> None:
    if what == "tell":
        tell(ring)
    elif what == "anew":
        ring.begin()
    elif what == "watch" and not browser.closed and id not in browser.connection.watches:
        browser.watch(ring, id)
    elif what == "unwatch":
        browser.unwatch(id)
    elif what == "say" and not browser.closed:
        assert browser.connection.say(f'{{"type":"answer","number":{number}}}')
    elif what == "block":
        browser.reads = False
    elif what == "read":
        browser.read_on()
    elif what == "close":
        browser.closed = 1001
        browser.connection.close()
    elif what == "beat":
        for one in browsers:
            if not one.closed:
                one.connection.beat(f'{{"type":"heartbeat","server_ms":{number}}}')
    else:
        await (asyncio.sleep(0) if what == "turn" else quiet())
