"""The whole product as its users meet it: started, killed, watched in a browser."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.binary_frames import CONFLATED
from tests.support.product import Product
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page, WebSocketRoute

    from tests.support.traffic import Traffic

TIMEOUT_S = 30.0
# Prints every value of `orders` in the order it was stored.
STORED_VALUES = """
import json
from metrics.columns import Columns
from metrics.models import Batch, Series
series = Series.objects.get(metric__name="orders").pk
rows = Batch.objects.order_by("pk").values_list("data", flat=True)
stored = [Columns.unpack(data) for data in rows]
print(json.dumps([v for c in stored for s, v in zip(c.series, c.values) if s == series]))
"""
# What Chromium says of a socket whose server is gone.
SERVER_IS_GONE = r"WebSocket connection to|ERR_CONNECTION_REFUSED"


def post(server: Product, token: str, value: float) -> int:
    """Publishes one sample of `orders`; the HTTP status."""
    request = urllib.request.Request(
        f"{server.base_url}/api/v1/samples",
        json.dumps({"samples": [{"metric": "orders", "value": value}]}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_wrong_token_is_refused(server: Product) -> None:
    assert post(server, "pb_wrong", 1) == 401


def test_a_link_that_signed_somebody_in_is_worth_nothing_afterwards(
    server: Product, page: Page, traffic: Traffic
) -> None:
    traffic.allow("404|403|410|400")
    page.goto(server.link)
    page.context.clear_cookies()
    page.goto(server.link)
    page.goto(server.base_url)
    assert "/signin/" in page.url


def test_ctrl_c_stops_it_cleanly_while_somebody_watches(
    server: Product, page: Page, traffic: Traffic
) -> None:
    traffic.allow(SERVER_IS_GONE)
    page.goto(server.link)
    traffic.wait_for_frames(3)
    assert server.terminate(signal.SIGINT) == 0
    assert "Traceback" not in server.output


def test_the_first_link_opens_a_dashboard_that_moves_in_silence(
    server: Product, page: Page, traffic: Traffic
) -> None:
    page.goto(server.link)
    assert page.url.endswith("/d/this-machine/")
    page.wait_for_load_state("networkidle")
    traffic.loaded()
    traffic.wait_for_frames(10)
    assert [socket.url for socket in traffic.sockets] == [server.live_url]
    traffic.assert_silent()


def test_a_published_value_appears_in_an_open_page(
    server: Product, page: Page, traffic: Traffic
) -> None:
    token = server.token()
    page.goto(server.link)
    page.goto(f"{server.base_url}/metrics/")
    page.get_by_text("node_load1").first.wait_for()
    traffic.loaded()
    assert post(server, token, 47) == 200
    page.get_by_role("row").filter(has_text="orders").filter(has_text="47").wait_for()
    traffic.assert_silent()


def test_a_page_reads_its_data_in_binary_over_one_socket(
    server: Product, page: Page, traffic: Traffic
) -> None:
    page.goto(server.link)
    page.locator(".panel[data-state=ready]").first.wait_for()
    traffic.wait_for_frames(10)
    assert len(traffic.sockets) == 1
    received = traffic.sockets[0].received
    assert any(isinstance(frame, bytes) for frame in received)
    assert not any(isinstance(f, str) and '"type":"snapshot"' in f for f in received)


def test_a_page_says_in_words_while_its_updates_are_merged(server: Product, page: Page) -> None:
    merged = True

    def stand_between(browser_side: WebSocketRoute) -> None:
        server_side = browser_side.connect_to_server()

        def pass_on(frame: str | bytes) -> None:
            if merged and isinstance(frame, bytes):
                frame = frame[:2] + bytes([frame[2] | CONFLATED]) + frame[3:]
            browser_side.send(frame)

        server_side.on_message(pass_on)

    page.route_web_socket("**/live/", stand_between)
    page.goto(server.link)
    words = page.get_by_role("status").filter(has_text="updates are being merged")
    words.wait_for()
    merged = False
    words.wait_for(state="hidden")
    page.get_by_role("status").get_by_text("Live", exact=True).wait_for()


def test_the_inspector_shows_what_goes_over_the_connection_and_gives_it_away(
    server: Product, page: Page
) -> None:
    page.goto(server.link)
    page.locator(".panel[data-state=ready]").first.wait_for()
    page.keyboard.press("i")
    rows = page.locator("#inspector tbody tr")
    rows.filter(has_text="update").first.wait_for()
    rows.filter(has_text="heartbeat").first.wait_for()
    page.get_by_label("Filter frames").fill("heartbeat")
    rows.filter(has_text="update").first.wait_for(state="detached")
    page.get_by_role("button", name="Pause").last.click()
    rows.first.get_by_role("button").click()
    assert "server_ms" in page.get_by_label("Content of the chosen frame").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines and {json.loads(line)["type"] for line in lines} == {"heartbeat"}
    page.get_by_label("Filter frames").press("Escape")
    page.locator("#inspector").wait_for(state="hidden")


def test_a_closed_inspector_keeps_nothing(server: Product, page: Page, traffic: Traffic) -> None:
    page.goto(server.link)
    page.locator("#status summary").click()
    page.get_by_role("button", name="Inspect frames").click()
    rows = page.locator("#inspector tbody tr")
    rows.first.wait_for()
    page.locator("#inspector").get_by_role("button", name="Close").click()
    traffic.wait_for_frames(5)
    assert rows.count() == 0


def test_a_browser_comes_back_by_itself_after_a_crash(
    server: Product, page: Page, traffic: Traffic
) -> None:
    traffic.allow(SERVER_IS_GONE)
    page.goto(server.link)
    traffic.wait_for_frames(3)
    page.evaluate("window.neverReloaded = true")
    server.kill9()
    server.start()
    eventually(lambda: page.evaluate("1") and len(traffic.sockets) > 1, what="a new socket")
    traffic.wait_for_frames(10)
    assert page.evaluate("window.neverReloaded") is True


def test_what_was_answered_200_survives_kill_9(server: Product) -> None:
    token = server.token()
    values = list(range(20))
    assert [post(server, token, value) for value in values] == [200] * len(values)
    server.kill9()
    assert json.loads(server.manage("shell", "-v0", "-c", STORED_VALUES)) == values
    server.start()
    assert post(server, token, 20) == 200
