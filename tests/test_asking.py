"""A question that many have at the same time is asked once; nobody is told what was forgotten."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from dashboard.asking import Asking
from tests.support.waiting import aeventually


class Office:
    """Answers "ann" with 1 and so on, when the test lets it; remembers what it was asked."""

    def __init__(self) -> None:
        self.known = {"ann": 1, "bob": 2}
        self.asked: list[set[str]] = []
        self.open = threading.Event()
        self.open.set()
        self.broken = False
        self.now_s = 100.0
        self.asking = Asking(self.answer, keep_s=1.0, clock=lambda: self.now_s)

    def answer(self, names: set[str]) -> dict[str, int]:
        found = {name: self.known[name] for name in names if name in self.known}
        self.asked.append(names)
        assert self.open.wait(60)
        if self.broken:
            raise ConnectionError("the database does not answer")
        return found


@pytest.fixture
def office() -> Iterator[Office]:
    one = Office()
    yield one
    one.open.set()


def askers(office: Office, *names: str) -> list[asyncio.Task[int | None]]:
    return [asyncio.create_task(office.asking.get(name)) for name in names]


async def until_asked(office: Office, times: int) -> None:
    await aeventually(lambda: len(office.asked) >= times)


async def test_when_the_database_fails_all_are_told_and_the_next_asks_again(
    office: Office,
) -> None:
    office.broken = True
    for asker in askers(office, "ann", "ann"):
        with pytest.raises(ConnectionError):
            await asker
    office.broken = False
    assert await office.asking.get("ann") == 1
    assert len(office.asked) == 2


async def test_who_is_not_known_is_asked_about_again(office: Office) -> None:
    assert await office.asking.get("eve") is None
    office.known["eve"] = 3
    assert await office.asking.get("eve") == 3


async def test_many_who_ask_the_same_are_one_question(office: Office) -> None:
    office.open.clear()
    asking = askers(office, *["ann"] * 50)
    await until_asked(office, 1)
    asking += askers(office, *["ann"] * 50)
    office.open.set()
    assert set(await asyncio.gather(*asking)) == {1}
    assert office.asked == [{"ann"}]


async def test_what_is_asked_meanwhile_is_asked_together(office: Office) -> None:
    office.open.clear()
    asking = askers(office, "ann")
    await until_asked(office, 1)
    asking += askers(office, "bob", "eve", "bob")
    await asyncio.sleep(0)
    office.open.set()
    assert await asyncio.gather(*asking) == [1, 2, None, 2]
    assert office.asked == [{"ann"}, {"bob", "eve"}]


async def test_an_answer_holds_for_a_second(office: Office) -> None:
    assert await office.asking.get("ann") == 1
    office.known["ann"] = 10
    office.now_s += 0.9
    assert await office.asking.get("ann") == 1
    office.now_s += 0.2
    assert await office.asking.get("ann") == 10


async def test_what_was_forgotten_is_asked_again(office: Office) -> None:
    assert await office.asking.get("ann") == 1
    del office.known["ann"]
    office.asking.forget()
    assert await office.asking.get("ann") is None


async def test_an_answer_on_its_way_is_not_given_to_who_asks_after_forgetting(
    office: Office,
) -> None:
    office.open.clear()
    (early,) = askers(office, "ann")
    await until_asked(office, 1)
    del office.known["ann"]
    office.asking.forget()
    (late,) = askers(office, "ann")
    await asyncio.sleep(0)
    office.open.set()
    assert await early == 1, "asked before"
    assert await late is None
    assert await office.asking.get("ann") is None, "and the early answer is not kept"


async def test_one_who_leaves_takes_nobody_along(office: Office) -> None:
    office.open.clear()
    leaving, staying = askers(office, "ann", "ann")
    await until_asked(office, 1)
    leaving.cancel()
    await asyncio.wait([leaving])
    office.open.set()
    assert await staying == 1


def test_another_event_loop_begins_anew(office: Office) -> None:
    assert asyncio.run(office.asking.get("ann")) == 1
    office.now_s += 10
    assert asyncio.run(office.asking.get("ann")) == 1
