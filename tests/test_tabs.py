"""Which tabs may share a live connection: those of one session, with the same scripts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from tests.test_pages import page_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password="correct horse battery")


def group(client: Client) -> str:
    name: str = page_of(client.get("/metrics/"))["live_tabs"]
    return name


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of scripts in place of ours."""
    live = tmp_path / "js" / "live"
    live.mkdir(parents=True)
    (tmp_path / "js" / "protocol.js").write_text("export {};")
    (live / "client.js").write_text("one")
    monkeypatch.setattr(settings, "STATICFILES_DIRS", [tmp_path])
    return live


def test_two_sessions_of_one_person_do_not_share(ada: User) -> None:
    assert group(signed_in(ada)) != group(signed_in(ada))


def test_who_signs_in_anew_in_the_same_browser_does_not_share_with_before(ada: User) -> None:
    client = signed_in(ada)
    before = group(client)
    client.post("/signout/")
    client.force_login(ada)
    assert group(client) != before


def test_the_name_does_not_tell_the_session(ada: User) -> None:
    client = signed_in(ada)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert key not in client.get("/metrics/").content.decode()


def test_other_scripts_have_another_worker(ada: User, scripts: Path) -> None:
    client = signed_in(ada)
    before = group(client)
    (scripts / "client.js").write_text("two")
    os.utime(scripts / "client.js", ns=(1, 1))  # however coarse the clock of the file system is
    assert group(client) != before


def test_the_same_scripts_elsewhere_are_the_same(ada: User, scripts: Path) -> None:
    client = signed_in(ada)
    before = group(client)
    os.utime(scripts / "client.js", ns=(1, 1))
    assert group(client) == before


def test_while_a_script_is_missing_nobody_shares(ada: User, scripts: Path) -> None:
    (scripts.parent / "protocol.js").unlink()
    assert group(signed_in(ada)) == ""


def test_nobody_shares_where_the_settings_say_so(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SHARE_SOCKETS", False)
    assert group(signed_in(ada)) == ""


def test_all_pages_of_a_session_share(ada: User) -> None:
    client = signed_in(ada)
    name = group(client)
    assert len(name) == 32
    assert page_of(client.get("/d/this-machine/"))["live_tabs"] == name
