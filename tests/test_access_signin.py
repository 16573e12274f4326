"""One-time links, and the first admin they are for."""

from __future__ import annotations

import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from dashboard import signin
from dashboard.models import SigninLink

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_a_link_signs_in_once(ada: User) -> None:
    secret = signin.make_link(ada)
    assert signin.use_link(secret, timezone.now()) == ada
    assert signin.use_link(secret, timezone.now()) is None


def test_a_link_nobody_made_signs_nobody_in(ada: User) -> None:
    signin.make_link(ada)
    for secret in ("", "x", "\x00", "\ud800", "a" * 5000):
        assert signin.use_link(secret, timezone.now()) is None


def test_a_link_expires_after_a_day(ada: User) -> None:
    secret = signin.make_link(ada)
    assert signin.use_link(secret, timezone.now() + timedelta(hours=24, seconds=1)) is None
    assert signin.use_link(secret, timezone.now() + timedelta(hours=23)) == ada


def test_a_link_of_a_disabled_account_signs_nobody_in(ada: User) -> None:
    secret = signin.make_link(ada)
    ada.is_active = False
    ada.save()
    assert signin.use_link(secret, timezone.now()) is None


def test_only_a_hash_of_the_secret_is_stored(ada: User) -> None:
    secret = signin.make_link(ada)
    assert secret not in str(vars(SigninLink.objects.get()))


def test_expired_links_are_swept_out(ada: User) -> None:
    signin.make_link(ada)
    SigninLink.objects.update(expires_at=timezone.now() - timedelta(days=1))
    signin.make_link(ada)
    assert SigninLink.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_who_use_a_link_at_once_one_gets_in() -> None:
    secret = signin.make_link(User.objects.create_user("ada"))
    start = threading.Barrier(4)
    got_in: list[User] = []

    def use() -> None:
        start.wait(timeout=60)
        user = signin.use_link(secret, timezone.now())
        if user is not None:
            got_in.append(user)
        connection.close()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [user.username for user in got_in] == ["ada"]


def test_the_first_admin_is_made_once_and_without_a_password() -> None:
    admin = signin.ensure_first_admin()
    assert admin.is_superuser and admin.is_staff and not admin.has_usable_password()
    assert signin.ensure_first_admin() == admin
    assert User.objects.count() == 1


def test_an_existing_superuser_is_the_first_admin() -> None:
    root = User.objects.create_superuser("root", password="a password")
    assert signin.ensure_first_admin() == root


def test_a_disabled_admin_is_not_revived() -> None:
    User.objects.create_superuser("admin", is_active=False)
    admin = signin.ensure_first_admin()
    assert admin.is_active
    assert admin.username != "admin"


def test_the_start_prints_a_link_until_the_first_admin_has_a_password() -> None:
    link = signin.link_for_start("http://127.0.0.1:8000/")
    assert link.startswith("http://127.0.0.1:8000/signin/")
    admin = signin.use_link(link.split("/")[-2], timezone.now())
    assert admin is not None
    admin.set_password("a password")
    admin.save()
    assert signin.link_for_start("http://127.0.0.1:8000") == "http://127.0.0.1:8000/"


def test_the_signin_command_prints_a_link_that_works(ada: User) -> None:
    link = printed("signin").strip()
    admin = signin.use_link(link.split("/")[-2], timezone.now())
    assert admin is not None and admin.is_superuser
    link = printed("signin", "ada", "--base-url", "https://metrics.example.org/").strip()
    assert link.startswith("https://metrics.example.org/signin/")
    assert signin.use_link(link.split("/")[-2], timezone.now()) == ada


def test_the_signin_command_refuses_who_cannot_sign_in(ada: User) -> None:
    ada.is_active = False
    ada.save()
    with pytest.raises(CommandError, match="no user 'bob'"):
        printed("signin", "bob")
    with pytest.raises(CommandError, match="'ada' is not active"):
        printed("signin", "ada")
