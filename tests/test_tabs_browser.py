"""Several tabs of a real browser and the sockets that the server has of them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from metrics.clock import now_ms
from tests.support.product import Product
from tests.support.waiting import DEADLINE_S, eventually
from tests.test_fallback_browser import publish, shows

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

    from tests.support.traffic import Traffic

NewTab = Callable[[], "Traffic"]

# The worker's script is not to be had, as behind a proxy that does not serve it.
WITHOUT_WORKER = """
const Real = window.SharedWorker;
window.SharedWorker = class extends Real {
  constructor(url, options) { super(`${url}.gone`, options); }
};
"""
# What Chromium says in a page that has a socket of its own when its server has gone.
SERVER_IS_GONE = "WebSocket connection to|ERR_CONNECTION_REFUSED"


class Numbers:
    """What the server counts of itself, as it publishes it each second."""

    def __init__(self, server: Product) -> None:
        self._server = server
        self._token = server.token("numbers", "read")

    def settles_at(self, metric: str, value: float) -> None:
        """Waits until a number that is measured from now on has this value."""
        since_ms = now_ms()
        eventually(
            lambda: self._newest(metric, since_ms) == value, what=f"{metric} becomes {value}"
        )

    def _newest(self, metric: str, since_ms: int) -> float | None:
        request = urllib.request.Request(
            f"{self._server.base_url}/api/v1/export?metric={metric}&format=jsonl",
            headers={"Authorization": f"Bearer {self._token}"},
        )
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:
            rows = [json.loads(line) for line in response.read().splitlines()]
        measured = [row["value"] for row in rows if row["time"] >= since_ms]
        return float(measured[-1]) if measured else None


@pytest.fixture
def tab(server: Product, context: BrowserContext) -> Iterator[NewTab]:
    """Opens another tab of the signed-in browser at the list of metrics, and waits for its data."""
    from tests.support.traffic import Traffic

    tabs: list[Traffic] = []

    def open_tab() -> Traffic:
        tab = Traffic(context.new_page())
        tabs.append(tab)
        if len(tabs) == 1:
            tab.page.goto(server.link)
        tab.page.goto(f"{server.base_url}/metrics/")
        tab.page.get_by_text("node_load1").first.wait_for()
        tab.page.evaluate("window.neverReloaded = true")
        return tab

    yield open_tab
    for each in tabs:
        each.assert_no_problems()


def all_show(server: Product, token: str, value: float, *tabs: Traffic) -> None:
    """What is published now appears in each of these tabs, and none was loaded anew for it."""
    publish(server, token, value)
    for each in tabs:
        shows(each.page, str(value))
        assert each.page.evaluate("window.neverReloaded") is True


def has_no_socket(tab: Traffic) -> None:
    """Waits until it shares another's: one that had to wait for the worker comes to it later."""

    def shares() -> bool:
        tab.page.evaluate("0")  # what happened meanwhile is heard of while the page is asked
        return all(one.closed for one in tab.sockets)

    eventually(shares, what="it shares a socket")


def test_without_the_workers_script_each_tab_is_live_over_a_socket_of_its_own(
    server: Product, context: BrowserContext, tab: NewTab
) -> None:
    context.add_init_script(WITHOUT_WORKER)
    tabs = [tab(), tab()]
    for each in tabs:
        each.allow("404")
    Numbers(server).settles_at("pulseboard_connections", 2)
    all_show(server, server.token(), 47, *tabs)
    assert [len(each.sockets) > 0 for each in tabs] == [True, True]


def test_where_there_are_no_shared_workers_nothing_is_missed(
    server: Product, context: BrowserContext, tab: NewTab
) -> None:
    context.add_init_script("delete window.SharedWorker;")
    tabs = [tab(), tab()]
    all_show(server, server.token(), 47, *tabs)
    Numbers(server).settles_at("pulseboard_connections", 2)


def test_who_signs_out_ends_every_tab_and_who_comes_next_shares_with_none(
    server: Product, tab: NewTab
) -> None:
    first, second = tab(), tab()
    numbers = Numbers(server)
    numbers.settles_at("pulseboard_connections", 1)
    link = server.new_link()
    first.page.get_by_role("banner").locator("details").last.locator("summary").click()
    first.page.get_by_role("button", name="Sign out").click()
    second.page.get_by_role("status").get_by_text("Signed out").wait_for()
    first.page.goto(link)
    first.page.goto(f"{server.base_url}/metrics/")
    token = server.token()
    publish(server, token, 47)
    shows(first.page, "47")
    assert second.page.get_by_role("row").filter(has_text="orders").count() == 0
    numbers.settles_at("pulseboard_connections", 1)


def test_a_tab_that_crashes_takes_none_along_and_stops_watching(
    server: Product, tab: NewTab
) -> None:
    from playwright.sync_api import Error

    first, second = tab(), tab()
    numbers = Numbers(server)
    numbers.settles_at("pulseboard_watches", 2)
    with pytest.raises(Error):
        second.page.goto("chrome://crash")
    numbers.settles_at("pulseboard_watches", 1)
    all_show(server, server.token(), 47, first)


def test_two_tabs_have_one_socket_and_both_are_live(server: Product, tab: NewTab) -> None:
    first = tab()
    assert len(first.sockets) >= 1, "one tab needs nobody to share with"
    second = tab()
    numbers = Numbers(server)
    numbers.settles_at("pulseboard_connections", 1)
    numbers.settles_at("pulseboard_watches", 2)
    has_no_socket(second)
    token = server.token()
    for value in (47, 48, 49):
        all_show(server, token, value, first, second)
    second.page.close()
    numbers.settles_at("pulseboard_watches", 1)
    all_show(server, token, 50, first)


def test_after_a_restart_of_the_server_both_tabs_are_live_again_over_one_socket(
    server: Product, tab: NewTab
) -> None:
    first, second = tab(), tab()
    for each in (first, second):
        each.allow(SERVER_IS_GONE)
    token, numbers = server.token(), Numbers(server)
    numbers.settles_at("pulseboard_connections", 1)
    server.terminate()
    server.start()
    for each in (first, second):
        each.page.get_by_role("status").get_by_text("Live", exact=True).wait_for()
    all_show(server, token, 47, first, second)
    numbers.settles_at("pulseboard_connections", 1)
    has_no_socket(second)


def test_the_inspector_of_a_tab_shows_what_is_for_this_tab(server: Product, tab: NewTab) -> None:
    tab()
    second = tab()
    has_no_socket(second)
    second.page.keyboard.press("i")
    rows = second.page.locator("#inspector tbody tr")
    rows.filter(has_text="heartbeat").first.wait_for()
    rows.filter(has_text="metrics").first.wait_for()
