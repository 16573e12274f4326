"""People annotate in a real browser, and others see it on their charts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.product import Product
from tests.support.waiting import eventually
from tests.test_fallback_browser import BAD_GATEWAY, WITHOUT_SOCKETS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

    from tests.support.traffic import Traffic

PASSWORD = "correct horse battery staple"
VIEWER = f"""
from django.contrib.auth.models import User
User.objects.create_user("bob", password={PASSWORD!r})
"""
STORED = "from metrics.models import Event; print(Event.objects.filter(title={title!r}).count())"
SERVER_IS_GONE = r"WebSocket connection to|ERR_CONNECTION_REFUSED"
# Stored like any event; each would do something if it were ever taken for markup.
HOSTILE = (
    "<script>pwned = 1</script>",
    "<img src=x onerror=pwned=1>",
    "</div><svg onload=pwned=1>",
    '"><iframe srcdoc="<script>parent.pwned=1</script>">',
    "javascript:pwned=1",
    "{{ 7*7 }}${pwned=1}`",
    "&lt;img src=x onerror=pwned=1&gt;",
    "\u202e<b>tfel-ot-thgir</b>",
)
PUBLISH_HOSTILE = f"""
from metrics import intake
from metrics.clock import now_ms
from metrics.samples import EventSample
now = now_ms()
intake.accept_events(
    [
        EventSample(text, text, {{"app": text}}, now - (at + 1) * 20_000)
        for at, text in enumerate({HOSTILE!r})
    ],
    now_ms=now,
)
"""
EVENTS_BACK = 3  # the server's start is an event too
# How many pixels of the first chart are drawn in the colour of markers.
MARKED_PIXELS = """() => {
  const canvas = document.querySelector(".plot canvas");
  const accent = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
  const colour = [1, 3, 5].map((at) => parseInt(accent.slice(at, at + 2), 16));
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (colour.every((part, at) => data[i + at] === part)) found += 1;
  }
  return found;
}"""


def stored(server: Product, title: str) -> int:
    return int(server.manage("shell", "-v0", "-c", STORED.format(title=title)))


def first_chart(page: Page) -> Locator:
    """The first chart of the dashboard, drawn: before, it is hidden and takes no key."""
    panel = page.locator(".panel:has(.plot)").first
    panel.and_(page.locator("[data-state=ready]")).wait_for()
    panel.locator(".plot canvas").wait_for()
    return panel.locator(".plot")


def annotate(page: Page, title: str, text: str = "") -> None:
    """Fills the open dialog in, and waits until it is stored."""
    page.get_by_label("Title").fill(title)
    page.get_by_label("Text (optional)").fill(text)
    page.get_by_label("Title").press("Enter")
    page.locator("dialog[open]").wait_for(state="detached")


def find_by_keyboard(page: Page, *words: str) -> None:
    """Moves back over the first chart's events to one with these words, which are also said."""
    chart = first_chart(page)
    note = chart.locator(".tooltip:visible")
    for word in words:
        note = note.filter(has_text=word)

    def is_found() -> bool:
        chart.blur()
        chart.focus()
        for _ in range(EVENTS_BACK):
            page.keyboard.press("Shift+ArrowLeft")
            if note.count():
                return True
        return False

    eventually(is_found, what=f"an event that says {' and '.join(words)}")
    page.locator("#announce").filter(has_text=words[0]).wait_for(state="attached")


def signed_in(chromium: Browser, server: Product, name: str) -> Page:
    """Somebody else in a browser of their own."""
    page = chromium.new_context().new_page()
    page.goto(f"{server.base_url}/signin/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{server.base_url}/")
    return page


def test_who_may_only_look_is_not_offered_it_and_sees_what_others_annotate(
    server: Product, page: Page, chromium: Browser
) -> None:
    server.manage("shell", "-v0", "-c", VIEWER)
    bobs = signed_in(chromium, server, "bob")
    bobs.goto(f"{server.base_url}/d/this-machine/")
    chart = first_chart(bobs)
    chart.locator(".u-over").click(modifiers=["Control"])
    chart.press("a")
    bobs.keyboard.press("?")
    assert not bobs.locator("dialog[open]").get_by_text("Annotate", exact=False).count()
    bobs.keyboard.press("Escape")
    assert not bobs.get_by_role("button", name="Annotate", include_hidden=True).count()

    page.goto(server.link)
    first_chart(page).press("a")
    annotate(page, "Deployed by hand")
    find_by_keyboard(bobs, "Deployed by hand", "by admin")
    bobs.context.close()


def test_a_click_with_ctrl_annotates_that_moment_on_every_open_page(
    server: Product, page: Page
) -> None:
    page.goto(server.link)
    page.goto(f"{server.base_url}/d/this-machine/?range=1m")
    other = page.context.new_page()
    other.goto(page.url)
    first_chart(other)
    over = first_chart(page).locator(".u-over")
    box = over.bounding_box()
    assert box is not None
    # A few seconds ago, and not at the very edge: the axis beside it grows with its numbers.
    over.click(modifiers=["Control"], position={"x": box["width"] - 50, "y": 20})
    annotate(page, "Deployed", "version <1.2>\nto all regions")
    assert stored(server, "Deployed") == 1
    find_by_keyboard(other, "Deployed", "version <1.2>", "by admin")
    eventually(lambda: other.evaluate(MARKED_PIXELS) > 10, what="a marker is drawn")


def test_the_dialog_gives_the_focus_back_and_says_what_is_wrong(
    server: Product, page: Page
) -> None:
    page.goto(server.link)
    chart = first_chart(page)
    chart.press("a")
    focused = page.locator(":focus")
    assert focused.get_attribute("id") == "annotate-title"
    page.keyboard.type("   ")
    page.keyboard.press("Enter")
    page.get_by_role("alert").filter(has_text="Title: say what happened.").wait_for()
    page.get_by_label("Title").fill("From another time")
    page.locator("#annotate-time").fill("1999-01-01T00:00:00")
    page.keyboard.press("Enter")
    page.get_by_role("alert").filter(has_text="not before the year 2000").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog[open]").wait_for(state="detached")
    assert "plot" in (focused.get_attribute("class") or "").split()
    assert stored(server, "From another time") == 0


def test_what_was_written_while_the_server_was_away_is_stored_once_it_is_back(
    server: Product, page: Page, traffic: Traffic
) -> None:
    traffic.allow(SERVER_IS_GONE)
    page.goto(server.link)
    first_chart(page).press("a")
    page.get_by_label("Title").fill("Power cut")
    server.kill9()
    page.locator(".status:not([data-state=live])").wait_for()
    page.get_by_label("Title").press("Enter")
    page.get_by_role("status").filter(has_text="Not connected.").wait_for()
    server.start()
    page.locator("dialog[open]").wait_for(state="detached")
    assert stored(server, "Power cut") == 1


@pytest.mark.parametrize("way", ["SSE", "polling"])
def test_it_goes_without_a_websocket(
    server: Product, page: Page, traffic: Traffic, way: str
) -> None:
    page.add_init_script(WITHOUT_SOCKETS)
    if way == "polling":
        traffic.allow(BAD_GATEWAY)
        page.route("**/live/events", lambda route: route.fulfill(status=502, body="no"))
    page.goto(server.link)
    page.get_by_text(f"Live (over {way})").wait_for()
    first_chart(page).press("a")
    annotate(page, "Deployed", way)
    assert stored(server, "Deployed") == 1
    find_by_keyboard(page, "Deployed", way)


def test_hostile_text_is_text_on_charts_and_in_lists(
    server: Product, page: Page, traffic: Traffic
) -> None:
    page.on("dialog", lambda dialog: traffic.problems.append(f"a dialog: {dialog.message}"))
    page.goto(server.link)
    chart = first_chart(page)
    server.manage("shell", "-v0", "-c", PUBLISH_HOSTILE)

    def walk() -> bool:
        """Past all events, from the newest to the oldest."""
        chart.blur()
        chart.focus()
        seen = set()
        for _ in range(len(HOSTILE) + 2):
            page.keyboard.press("Shift+ArrowLeft")
            seen |= set(chart.locator(".marker-title").all_text_contents())
        return seen >= set(HOSTILE)

    eventually(walk, what="every event is read on the chart")
    chart.blur()  # the cursor goes, and "a" means now
    chart.press("a")
    annotate(page, HOSTILE[0], HOSTILE[1])
    find_by_keyboard(page, HOSTILE[0], HOSTILE[1])
    page.goto(f"{server.base_url}/d/pulseboard-itself/")
    page.locator(".event-title", has_text=HOSTILE[-1]).first.wait_for()
    assert page.evaluate("typeof pwned") == "undefined"
    assert not page.locator(".tooltip, .events").locator("img, svg, iframe, script, b").count()


class TestOnAPhone:
    @pytest.fixture
    def context_options(self) -> dict[str, object]:
        return {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

    def test_the_menu_annotates_the_moment_that_was_tapped(
        self, server: Product, page: Page
    ) -> None:
        page.goto(f"{server.link}")
        page.goto(f"{server.base_url}/d/this-machine/?range=1h")
        over = first_chart(page).locator(".u-over")
        over.scroll_into_view_if_needed()
        over.tap(position={"x": 20, "y": 20})
        panel = page.locator(".panel", has=page.locator(".plot")).first
        panel.locator("summary").tap()
        panel.get_by_role("button", name="Annotate").tap()
        chosen = page.locator("#annotate-time")
        chosen.wait_for()
        age = "(at) => (Date.now() - new Date(at).getTime()) / 60_000"
        minutes = page.evaluate(age, chosen.input_value())
        assert 40 < minutes < 61
        annotate(page, "An hour ago")
        assert stored(server, "An hour ago") == 1
