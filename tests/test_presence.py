"""Who is on a dashboard, as one process counts it, with a clock and rows in the test's hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from dashboard import presence, protocol
from dashboard.presence import LINGER_S, REST_S, SHOWN, TICK_S, Board, Presence
from dashboard.presence_rows import LEASE_S, Content, Found, Here, Rows, _decoder
from dashboard.viewer import Viewer
from tests.live_support import read


class Others(Rows):
    """The rows of other processes, as the test wants them; what this one tells is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Found = {}
        self.told: list[Content | None] = []
        self.asked = 0
        self.fails = False

    def exchange(self, content: str | None) -> tuple[bool, Found]:
        self.asked += 1
        if self.fails:
            raise ConnectionError("the database does not answer")
        changed = content != self._written
        if changed:
            self.told.append(None if content is None else _decoder.decode(content))
            self._written = content
        return changed, dict(self.found)

    def leave(self) -> None:
        self.told.append(None)


class World:
    """One process."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now_s = 1000.0
        self.rows = Others()
        self.rings = 0
        self.presence = Presence(loop, self._ring, self.rows, lambda: self.now_s)

    def _ring(self) -> None:
        self.rings += 1

    def comes(self, name: str, away: bool = False, board: str = "shop") -> Callable[[], None]:
        """A person opens a tab; what is returned closes it."""
        return self.presence.enter(person(name), board, away)[1]

    async def passes(self, seconds: float) -> None:
        self.now_s += seconds
        await self.presence.tick()

    @property
    def board(self) -> Board:
        return self.presence._boards["shop"]

    async def shown(self) -> list[tuple[str, bool]]:
        """Who is on the dashboard by what its watchers were told last, and who is away."""
        return [(one.name, one.away) for one in (await self.frame()).people]

    async def frame(self) -> protocol.Presence:
        frame = read((await self.board.picture()).text(1))
        assert isinstance(frame, protocol.Presence)
        return frame

    async def syncs(self) -> None:
        """Rests until it may, and looks at the rows."""
        self.now_s += presence.REST_S
        await self.presence.sync()


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(presence, "GATHER_S", 0.0)
    monkeypatch.setattr(presence, "REST_S", 0.0)
    return World(asyncio.get_running_loop())


def person(name: str) -> Viewer:
    """Somebody, the same for the same name."""
    identity = SimpleNamespace(get_username=lambda: name)
    return Viewer(user=sum(name.encode()), identity=identity)


def token(name: str) -> Viewer:
    return Viewer(source=1, identity=SimpleNamespace(name=name))


HERE, AWAY = False, True


class TestOneProcess:
    async def test_who_comes_is_in_the_first_frame(self, world: World) -> None:
        world.comes("ann")
        assert await world.shown() == [("ann", HERE)]
        world.comes("bob")
        assert await world.shown() == [("ann", HERE), ("bob", HERE)]

    async def test_several_tabs_of_a_person_are_one_entry(self, world: World) -> None:
        first, second = world.comes("ann"), world.comes("ann")
        world.comes("bob")
        assert await world.shown() == [("ann", HERE), ("bob", HERE)]
        first()
        await world.passes(2 * LINGER_S)
        assert await world.shown() == [("ann", HERE), ("bob", HERE)]
        second()
        await world.passes(2 * LINGER_S)
        assert await world.shown() == [("bob", HERE)]

    async def test_a_token_of_a_persons_name_is_somebody_else(self, world: World) -> None:
        world.comes("ann")
        world.presence.enter(token("ann"), "shop", False)
        people = (await world.frame()).people
        assert [(one.name, one.kind) for one in people] == [("ann", "token"), ("ann", "person")]

    async def test_who_loads_the_page_again_has_not_been_away(self, world: World) -> None:
        world.comes("bob")
        leave = world.comes("ann")
        told = (await world.frame()).cursor
        for _ in range(5):
            leave()
            await world.passes(LINGER_S / 2)
            leave = world.comes("ann")
            await world.passes(0)
        assert (await world.frame()).cursor == told, "nobody was told of anything"

    async def test_who_has_a_hidden_tab_only_is_away_and_comes_back_at_once(
        self, world: World
    ) -> None:
        hide = world.comes("ann")
        assert await world.shown() == [("ann", HERE)]
        hide()
        show = world.comes("ann", away=True)
        await world.passes(LINGER_S / 2)
        assert await world.shown() == [("ann", HERE)], "a moment elsewhere is not told"
        await world.passes(LINGER_S)
        assert await world.shown() == [("ann", AWAY)]
        show()
        world.comes("ann")
        assert await world.shown() == [("ann", HERE)]

    async def test_who_looks_at_one_of_their_tabs_is_here(self, world: World) -> None:
        world.comes("ann", away=True)
        close = world.comes("ann")
        assert await world.shown() == [("ann", HERE)]
        close()
        await world.passes(LINGER_S)
        assert await world.shown() == [("ann", AWAY)]

    async def test_who_polls_while_away_is_told_as_away(self, world: World) -> None:
        world.comes("ann")()
        for _ in range(10):
            world.comes("ann", away=True)()
            await world.passes(LINGER_S / 5)
        assert await world.shown() == [("ann", AWAY)]

    async def test_many_are_named_up_to_a_bound_those_who_look_first(self, world: World) -> None:
        for number in range(SHOWN + 20):
            viewer = Viewer(
                user=number, identity=SimpleNamespace(get_username=lambda n=number: f"p{n:03}")
            )
            world.presence.enter(viewer, "shop", away=number < 30)
        frame = await world.frame()
        assert len(frame.people) == SHOWN
        assert frame.others == 20
        assert [one.name for one in frame.people if not one.away] == [
            f"p{n:03}" for n in range(30, 70)
        ]
        assert sum(one.away for one in frame.people) == 10

    async def test_who_is_on_two_dashboards_is_one_in_the_number_of_people(
        self, world: World
    ) -> None:
        world.comes("ann")
        world.comes("ann", board="other")
        world.comes("bob")
        assert len(world.presence) == 2

    async def test_a_dashboard_that_everybody_has_left_is_forgotten(self, world: World) -> None:
        world.comes("ann")()
        await world.passes(LINGER_S)
        assert len(world.presence) == 0
        assert not world.presence._boards
        assert not world.presence._lingering

    async def test_changes_are_told_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(presence, "REST_S", 60.0)
        world = World(asyncio.get_running_loop())
        world.comes("ann")
        for number in range(20):
            world.comes(f"visitor {number}")
        assert world.board.ring.seq == 1
        assert world.board.timer is not None
        world.presence._tell(world.board)
        assert world.board.ring.seq == 2
        assert len(await world.shown()) == 21


class TestOtherProcesses:
    async def test_nothing_is_asked_while_nobody_is_here(self, world: World) -> None:
        await world.syncs()
        assert world.rows.asked == 0
        leave = world.comes("ann")
        await world.syncs()
        leave()
        await world.passes(LINGER_S)
        await world.syncs()
        assert world.rows.told == [{"shop": Here([key_of("ann", HERE)])}, None]
        asked = world.rows.asked
        await world.syncs()
        assert world.rows.asked == asked

    async def test_what_changes_here_is_told_and_rung_once(self, world: World) -> None:
        world.comes("ann")
        assert world.presence.news.is_set()
        await world.syncs()
        await world.syncs()
        assert world.rings == 1
        world.comes("ann")
        await world.syncs()
        assert world.rings == 1, "another tab is no news"
        world.comes("bob", away=True)
        await world.syncs()
        assert world.rings == 2
        assert world.rows.told[-1] == {"shop": Here([key_of("ann", HERE), key_of("bob", AWAY)])}

    async def test_people_of_other_processes_are_shown_each_once(self, world: World) -> None:
        world.comes("ann", away=True)
        world.rows.found = {
            "b": ({"shop": Here([key_of("ann", HERE), key_of("bob", AWAY)])}, 0.0),
            "c": (
                {"shop": Here([key_of("bob", AWAY)], 7), "other": Here([key_of("eve", HERE)])},
                0.0,
            ),
        }
        await world.syncs()
        assert await world.shown() == [("ann", HERE), ("bob", AWAY)]
        assert (await world.frame()).others == 7
        world.rows.found.pop("c")
        await world.syncs()
        assert (await world.frame()).others == 0

    async def test_people_of_a_process_that_died_are_gone_within_ten_seconds(
        self, world: World
    ) -> None:
        world.comes("ann")
        beaten_s = world.now_s
        world.rows.found = {"b": ({"shop": Here([key_of("bob", HERE)])}, 0.0)}
        await world.presence.sync()
        assert await world.shown() == [("ann", HERE), ("bob", HERE)]
        # The last time that the dead one's row is read it is nearly too old.
        age_s = LEASE_S - 0.1
        world.now_s = beaten_s + age_s
        content = world.rows.found["b"][0]
        world.rows.found = {"b": (content, age_s)}
        await world.presence.sync()
        assert await world.shown() == [("ann", HERE), ("bob", HERE)]
        await world.passes(0.1 + TICK_S)
        assert await world.shown() == [("ann", HERE)]
        assert world.now_s - beaten_s + REST_S < 10

    async def test_while_the_database_is_away_those_here_are_shown(self, world: World) -> None:
        world.comes("ann")
        world.rows.found = {"b": ({"shop": Here([key_of("bob", HERE)])}, 0.0)}
        await world.syncs()
        world.rows.fails = True
        with pytest.raises(ConnectionError):
            await world.syncs()
        assert await world.shown() == [("ann", HERE), ("bob", HERE)]
        await world.passes(LEASE_S)
        assert await world.shown() == [("ann", HERE)]

    async def test_so_many_are_told_by_name_the_rest_as_a_number(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(presence, "TOLD", 3)
        for name in ("ann", "bob"):
            world.comes(name)
        for name in ("cleo", "dan", "eve"):
            world.comes(name, board="other")
        world.comes("finn", board="third")
        await world.syncs()
        told = world.rows.told[-1]
        assert told is not None
        assert [(len(here.people), here.more) for here in told.values()] == [(2, 0), (1, 2), (0, 1)]

    async def test_a_clean_stop_takes_it_back(self, world: World) -> None:
        world.comes("ann")
        await world.syncs()
        await world.presence.stop()
        assert world.rows.told[-1] is None


def key_of(name: str, away: bool) -> tuple[str, str, bool]:
    return (person(name).name, name, away)
