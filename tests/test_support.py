"""The tools the other tests lean on do what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis
from django.conf import settings

from dashboard.environment import postgresql
from tests.support import database, environment
from tests.support.waiting import aeventually, eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.support.traffic import Traffic
    from tests.support.valkey import Valkey


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.02 s: the moon \(False\)"):
        eventually(lambda: False, timeout_s=0.02, what="the moon")


async def test_waiting_in_vain_in_the_event_loop_says_why() -> None:
    def still_dark() -> bool:
        raise AssertionError("still dark")

    with pytest.raises(AssertionError, match="still dark"):
        await aeventually(still_dark, timeout_s=0.02)


async def test_waiting_returns_what_came() -> None:
    answers = iter([None, "", "here"])

    async def later() -> str | None:
        return next(answers)

    assert eventually(lambda: "now") == "now"
    assert await aeventually(later) == "here"


@pytest.mark.database
def test_a_test_run_never_touches_the_data_of_the_installation(
    request: pytest.FixtureRequest,
) -> None:
    assert Path(settings.DATA_DIR).is_relative_to(environment.FOLDER)
    used = settings.DATABASES["default"]
    if server := database.running(request.config):
        assert used.items() >= postgresql(server.url(used["NAME"])).items()
        return
    assert Path(used["NAME"]).is_relative_to(environment.FOLDER)
    assert Path(used["TEST"]["NAME"]).is_relative_to(environment.FOLDER)


def test_everyone_who_asks_gets_an_empty_postgresql(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
    assert tables == (0,)


def test_redis_can_be_killed_and_comes_back_empty(valkey: Valkey, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("kept", "no")
        valkey.kill9()
        with pytest.raises(redis.ConnectionError):
            client.get("kept")
        valkey.start()
        assert client.get("kept") is None


@pytest.fixture
def strict_page(traffic: Traffic, page: Page) -> Page:
    """A page that, by its content security policy, may show text and nothing else."""
    policy = {"Content-Security-Policy": "default-src 'none'", "Content-Type": "text/html"}
    page.route("**/*", lambda route: route.fulfill(headers=policy, body="<p>quiet</p>"))
    page.goto("http://pulseboard.test/")
    traffic.loaded()
    return page


def test_a_violated_policy_is_noticed(traffic: Traffic, strict_page: Page) -> None:
    strict_page.evaluate("document.body.append(Object.assign(new Image(), {src: '/x.png'}))")
    eventually(lambda: strict_page.evaluate("1") and traffic.problems, what="a violation")
    with pytest.raises(AssertionError, match="Content Security Policy"):
        traffic.assert_no_problems()
    traffic.allow("Content Security Policy")


def test_a_page_that_asks_for_more_is_not_silent(traffic: Traffic, strict_page: Page) -> None:
    traffic.assert_silent()
    strict_page.goto("http://pulseboard.test/again")
    with pytest.raises(AssertionError, match="again"):
        traffic.assert_silent()
