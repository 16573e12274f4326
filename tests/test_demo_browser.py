"""manage.py demo as somebody tries it out: beside a server, in a browser, and away again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.environment import ROOT
from tests.support.product import STOP_S, Product
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.support.traffic import Traffic

# What Chromium says of a socket whose server is gone.
SERVER_IS_GONE = r"WebSocket connection to|ERR_CONNECTION_REFUSED"


class Running:
    """`manage.py demo` as a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def says(self, text: str) -> None:
        def it_does() -> bool:
            assert self._process.poll() is None or text in self.output, self.output
            return text in self.output

        eventually(it_does, what=f"the demo says: {text}")

    def stop(self, how: signal.Signals) -> int:
        self._process.send_signal(how)
        return self._process.wait(STOP_S)


@contextmanager
def demo(server: Product, *arguments: str) -> Iterator[Running]:
    log = server.folder / "demo.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", *arguments],
            cwd=ROOT,
            env=server.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Running(process, log)
    finally:
        process.kill()
        process.wait(STOP_S)


def changes(page: Page, panel: str, parts: str) -> None:
    """Waits until one of the panel's numbers is another one than now."""
    numbers = page.locator(".panel").filter(has=page.get_by_role("heading", name=panel, exact=True))
    before = eventually(lambda: numbers.locator(parts).all_inner_texts(), what=f"{panel} is drawn")
    eventually(lambda: numbers.locator(parts).all_inner_texts() != before, what=f"{panel} moves")


def test_ctrl_c_while_the_past_is_published_ends_it_at_once_and_whole(server: Product) -> None:
    with demo(server, "ticker", "--history", "24h") as running:
        running.says("Demo: market ticker: ")
        assert running.stop(signal.SIGINT) == 0
        assert "all stored" in running.output
        assert "Traceback" not in running.output
        assert "\r" not in running.output, "no line is written over in a file"


def test_an_open_dashboard_shows_what_the_demo_publishes_also_after_a_restart(
    server: Product, page: Page, traffic: Traffic
) -> None:
    traffic.allow(SERVER_IS_GONE)
    page.goto(server.link)
    with demo(server, "--history", "10m", "--rate", "5", "--seed", "7") as running:
        running.says("Publishing 5 times a second")
        page.goto(server.base_url)
        page.get_by_role("link", name="Demo: shop").wait_for()
        page.get_by_role("link", name="Demo: market ticker").click()
        assert page.url.startswith(f"{server.base_url}/d/demo-ticker/")
        assert page.url.split("?")[0] in running.output
        page.locator(".panel[data-state=ready]").first.wait_for()
        changes(page, "Prices", "td.strong")
        page.get_by_text("Demo: market opens").first.wait_for()

        assert server.terminate() == 0
        page.get_by_role("status").get_by_text("Live", exact=True).wait_for(state="hidden")
        server.start()
        page.get_by_role("status").get_by_text("Live", exact=True).wait_for()
        changes(page, "Prices", "td.strong")

        page.goto(f"{server.base_url}/d/demo-shop/")
        page.locator(".panel[data-state=ready]").first.wait_for()
        changes(page, "Visitors by device", ".legend-value")
        assert running.stop(signal.SIGTERM) == 0
        assert "samples, all stored." in running.output

    assert "Deleted: 2 dashboards" in server.manage("demo", "--remove", "--yes")
    page.goto(server.base_url)
    page.get_by_role("link", name="This machine").wait_for()
    assert page.get_by_role("link", name="Demo").count() == 0
    page.goto(f"{server.base_url}/d/pulseboard-itself/")
    page.get_by_text("Pulseboard started").first.wait_for()

    def events_are_gone() -> bool:
        page.reload()
        page.get_by_text("Pulseboard started").first.wait_for()
        return page.get_by_text("Demo: ").count() == 0

    eventually(events_are_gone, what="no event of the demo is left in the server's memory")


@pytest.fixture
def context_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return getattr(request, "param", {"viewport": {"width": 1280, "height": 1800}})


@pytest.mark.parametrize(
    "context_options", [{"viewport": {"width": 390, "height": 844}}], indirect=True, ids=["phone"]
)
def test_on_a_phone_nothing_sticks_out(server: Product, page: Page) -> None:
    page.goto(server.link)
    with demo(server, "--history", "5m") as running:
        running.says("Ctrl-C stops")
        for slug in ("demo-ticker", "demo-shop"):
            page.goto(f"{server.base_url}/d/{slug}/")
            page.locator(".panel[data-state=ready]").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.get_by_role("heading", name="Events").scroll_into_view_if_needed()
            page.get_by_text("Demo: ").first.wait_for()
        assert running.stop(signal.SIGINT) == 0
