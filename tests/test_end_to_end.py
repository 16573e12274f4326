"""The whole product as its users meet it: started, killed, watched in a browser."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from tests.support.product import Product
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

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
