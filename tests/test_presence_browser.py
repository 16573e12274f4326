"""Several people on one dashboard, in real browsers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.product import Product
from tests.test_fallback_browser import WITHOUT_SOCKETS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

    from tests.support.traffic import Traffic

BOARD = "/d/this-machine/"
HOSTILE = "<img src=x onerror=alert(1)>"
PHONE = {"width": 390, "height": 844}
LINK = """
from django.contrib.auth.models import User
from dashboard.signin import link_path, make_link
for name in {names!r}:
    print(link_path(make_link(User.objects.create_superuser(name))))
"""
# What a page sees when its tab is hidden, or shown again.
VISIBILITY = """(state) => {
  Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
  Object.defineProperty(document, "hidden", {value: state === "hidden", configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""

Visit = Callable[..., "Page"]


@pytest.fixture
def visit(server: Product, chromium: Browser) -> Iterator[Visit]:
    """Lets people sign in, each in a browser of their own, and open the dashboard; the page of the
    last one."""
    with ExitStack() as stack:

        def visitors(*names: str, script: str = "") -> Page:
            paths = server.manage("shell", "-v0", "-c", LINK.format(names=names)).split()
            for path in paths:
                context = stack.enter_context(chromium.new_context())
                context.add_init_script(script)
                page = context.new_page()
                page.goto(f"{server.base_url}{path}")
                page.wait_for_url(f"**{BOARD}")
            return page

        yield visitors


def people(page: Page) -> Locator:
    """The button that says who is here."""
    return page.locator("#presence summary")


def said(page: Page, words: str) -> None:
    """Waits until the page says so to everybody: to who listens, and to who points at it."""
    page.locator(f"#presence summary[aria-label='{words}'][title='{words}']").wait_for()


def test_a_hostile_name_is_text(server: Product, page: Page, visit: Visit) -> None:
    visit(HOSTILE)
    page.goto(server.link)
    people(page).click()
    page.get_by_role("listitem").get_by_text(HOSTILE, exact=True).wait_for()
    assert page.locator("#presence img").count() == 0


def test_who_is_alone_is_not_told_so_in_however_many_tabs(
    server: Product, page: Page, context: BrowserContext
) -> None:
    page.goto(server.link)
    other_tab = context.new_page()
    other_tab.goto(f"{server.base_url}{BOARD}")
    for tab in (page, other_tab):
        tab.locator("#presence li").wait_for(state="attached")
        assert tab.locator("#presence li").count() == 1
        assert tab.locator("#presence").is_hidden()


def test_two_people_see_each_other_come_look_away_and_leave(
    server: Product, page: Page, visit: Visit
) -> None:
    page.goto(server.link)
    bobs = visit("bob")
    said(page, "bob is here too")
    said(bobs, "admin is here too")

    people(page).focus()
    page.keyboard.press("Enter")
    entries = page.locator("#presence").get_by_role("listitem")
    assert entries.all_inner_texts() == ["A\nadmin\nyou", "B\nbob"]
    page.keyboard.press("Escape")
    entries.first.wait_for(state="hidden")

    bobs.evaluate(VISIBILITY, "hidden")
    said(page, "bob (away) is here too")
    bobs.evaluate(VISIBILITY, "visible")
    said(page, "bob is here too")

    # What is open stays, and says that there is nobody else.
    page.keyboard.press("Enter")
    bobs.close()
    said(page, "Only you are here")
    assert entries.all_inner_texts() == ["A\nadmin\nyou"]
    page.keyboard.press("Escape")
    people(page).wait_for(state="hidden")


def test_who_comes_without_a_socket_is_there_too(server: Product, page: Page, visit: Visit) -> None:
    page.goto(server.link)
    bobs = visit("bob", script=WITHOUT_SOCKETS)
    bobs.get_by_text("Live (over SSE)").wait_for()
    said(bobs, "admin is here too")
    said(page, "bob is here too")


class TestOnAPhone:
    @pytest.fixture
    def context_options(self) -> dict[str, object]:
        return {"viewport": PHONE, "color_scheme": "dark"}

    def test_nothing_is_wider_than_the_screen(
        self, server: Product, page: Page, visit: Visit, traffic: Traffic
    ) -> None:
        visit("bob.baker", "cleo", "a-very-long-name-" + "x" * 100, "dan")
        page.goto(server.link)
        page.locator("#presence .avatar").filter(has_text="+1").wait_for()
        people(page).click()
        page.locator("#presence").get_by_role("listitem").nth(4).wait_for()
        for element in (page.locator("#presence .menu-pop"), people(page)):
            box = element.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
