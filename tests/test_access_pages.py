"""Signing in and out, one-time links and passwords, as people meet them in the browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard import signin, views
from dashboard.models import Dashboard

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
HOSTILE_NEXT = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example",
    "/\\evil.example",
    "http:evil.example",
    "javascript:alert(1)",
    "https://testserver.evil.example/",
    "\thttps://evil.example",
]


@pytest.fixture(autouse=True)
def no_attempts_yet() -> Iterator[None]:
    views.attempts.clear()
    yield
    views.attempts.clear()


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password=PASSWORD)


@pytest.fixture
def signed_in(client: Client, ada: User) -> Client:
    client.force_login(ada)
    return client


def test_a_wrong_password_is_refused(client: Client, ada: User) -> None:
    response = client.post("/signin/", {"username": "ada", "password": "guess"})
    assert response.status_code == 200
    assert "do not belong together" in response.content.decode()
    assert client.get("/").status_code == 302


@pytest.mark.parametrize("same", ["address", "name"])
def test_guessing_passwords_is_slowed_down(ada: User, same: str) -> None:
    for number in range(views.ATTEMPTS_PER_MINUTE + 1):
        address = "10.0.0.1" if same == "address" else f"10.0.0.{number}"
        name = "ada" if same == "name" else f"user{number}"
        response = Client(REMOTE_ADDR=address).post(
            "/signin/", {"username": name, "password": "guess"}
        )
    assert response.status_code == 429
    assert "Try again in" in response.content.decode()
    client = Client(REMOTE_ADDR="10.0.0.1")
    response = client.post("/signin/", {"username": "ada", "password": PASSWORD})
    assert response.status_code == 429
    assert "sessionid" not in client.cookies and "pulseboard" not in client.cookies


def test_signing_in_often_is_no_guessing(ada: User) -> None:
    for _ in range(views.ATTEMPTS_PER_MINUTE * 2):
        response = Client().post("/signin/", {"username": "ada", "password": PASSWORD})
        assert response.status_code == 302


@pytest.mark.parametrize("path", ["/signin/", "/signout/", "/password/"])
def test_a_form_from_another_site_is_refused(ada: User, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    if path != "/signin/":
        client.force_login(ada)
    response = client.post(path, {"username": "ada", "password": PASSWORD})
    assert response.status_code == 403


@pytest.mark.parametrize("target", HOSTILE_NEXT)
@pytest.mark.parametrize("how", ["get", "post"])
def test_next_never_leads_to_another_site(client: Client, ada: User, target: str, how: str) -> None:
    if how == "get":
        client.force_login(ada)
        response = client.get("/signin/", {"next": target})
    else:
        response = client.post(
            "/signin/", {"username": "ada", "password": PASSWORD, "next": target}
        )
    assert response.status_code == 302
    assert response["Location"] == "/"


def test_signing_in_leads_to_the_page_that_was_asked_for(client: Client, ada: User) -> None:
    asked = client.get("/metrics/?q=1")
    form = client.get(asked["Location"])
    assert 'name="next" value="/metrics/?q=1"' in form.content.decode()
    response = client.post(
        "/signin/", {"username": "ada", "password": PASSWORD, "next": "/metrics/?q=1"}
    )
    assert response["Location"] == "/metrics/?q=1"
    assert client.get("/metrics/").status_code == 200


def test_signing_out_needs_a_post_and_ends_the_session(signed_in: Client) -> None:
    assert signed_in.get("/signout/").status_code == 405
    assert signed_in.get("/").status_code == 200
    assert signed_in.post("/signout/")["Location"] == "/signin/"
    assert signed_in.get("/").status_code == 302


def test_a_one_time_link_signs_in_and_leads_to_this_machine(client: Client, ada: User) -> None:
    Dashboard.objects.get_or_create(slug="this-machine", defaults={"title": "This machine"})
    response = client.get(signin.link_path(signin.make_link(ada)))
    assert (response.status_code, response["Location"]) == (302, "/d/this-machine/")
    assert client.get("/d/this-machine/").status_code == 200


@pytest.mark.parametrize("kind", ["used", "unknown"])
def test_a_spent_link_says_how_to_get_another(client: Client, ada: User, kind: str) -> None:
    path = signin.link_path(signin.make_link(ada)) if kind == "used" else "/signin/nonsense/"
    if kind == "used":
        Client().get(path)
    response = client.get(path)
    assert response.status_code == 410
    assert "manage.py signin" in response.content.decode()
    assert client.get("/").status_code == 302


def test_looking_at_a_link_without_opening_it_does_not_spend_it(client: Client, ada: User) -> None:
    path = signin.link_path(signin.make_link(ada))
    assert client.head(path).status_code == 405
    assert client.post(path).status_code == 405
    assert client.get(path).status_code == 302


def test_a_link_opened_twice_by_the_same_browser_is_no_dead_end(client: Client, ada: User) -> None:
    path = signin.link_path(signin.make_link(ada))
    client.get(path)
    assert client.get(path)["Location"] == "/"


# Passwords


def change(client: Client, **fields: str) -> Any:
    return client.post("/password/", fields)


def test_the_first_visit_sets_a_password_without_an_old_one(client: Client) -> None:
    admin = signin.ensure_first_admin()
    client.force_login(admin)
    other_link = signin.link_path(signin.make_link(admin))
    assert client.get("/password/").context["first"] is True
    assert client.get("/metrics/").context["page"]["needs_password"] is True
    response = change(client, new_password1=PASSWORD, new_password2=PASSWORD)
    assert response.status_code == 302
    assert client.get("/").status_code == 200, "the session stays"
    assert client.get("/metrics/").context["page"]["needs_password"] is False
    assert Client().get(other_link).status_code == 410, "links from before are spent"
    assert Client().login(username=admin.username, password=PASSWORD)


def test_later_the_old_password_is_asked_for(signed_in: Client, ada: User) -> None:
    assert signed_in.get("/password/").context["first"] is False
    new = "another long password"
    change(signed_in, new_password1=new, new_password2=new)
    change(signed_in, old_password="guess", new_password1=new, new_password2=new)
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)
    change(signed_in, old_password=PASSWORD, new_password1=new, new_password2=new)
    ada.refresh_from_db()
    assert ada.check_password(new)
    assert signed_in.get("/").status_code == 200


@pytest.mark.parametrize("weak", ["short", "12345678901", "password123"])
def test_a_weak_password_is_refused(client: Client, weak: str) -> None:
    admin = signin.ensure_first_admin()
    client.force_login(admin)
    response = change(client, new_password1=weak, new_password2=weak)
    assert response.status_code == 200
    admin.refresh_from_db()
    assert not admin.has_usable_password()


def test_guessing_the_old_password_is_slowed_down(signed_in: Client) -> None:
    for _ in range(views.ATTEMPTS_PER_MINUTE + 1):
        response = change(signed_in, old_password="x", new_password1="y", new_password2="y")
    assert response.status_code == 429
    assert "Try again in" in response.content.decode()
