"""Tokens: who is let in, who is not, and how soon a change counts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metrics import access
from metrics.access import AccessDenied
from metrics.limiter import Limiter
from metrics.models import Source
from tests.support.waiting import eventually

NOW_MS = 1_790_000_000_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_cache(db: None) -> Iterator[None]:
    access.forget()
    yield
    access.forget()
    access.last_used.flush()


def bearer(plain: str) -> str:
    return f"Bearer {plain}"


def refusal(header: str | bytes | None, scope: str = "publish", now_ms: int = NOW_MS) -> Any:
    with pytest.raises(AccessDenied) as caught:
        access.source_for(header, scope, now_ms)
    return caught.value


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "pb_" + "a" * 43,
        "Bearer pb_short",
        "Bearer pb_" + "a" * 44,
        "Bearer pb_" + "é" * 43,
        b"Bearer \xff\xfe",
    ],
)
def test_what_is_no_token_is_refused_without_a_query(header: str | bytes | None) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert refusal(header).status == 401
    assert not queries.captured_queries


def test_a_token_nobody_made_is_refused() -> None:
    access.make_token("shop")
    assert refusal(bearer(access.new_token())).status == 401


def test_a_revoked_token_is_refused_at_once() -> None:
    source, plain = access.make_token("shop")
    access.source_for(bearer(plain), "publish", NOW_MS)
    source.active = False
    source.save()
    assert "revoked" in refusal(bearer(plain)).message


def test_a_deleted_token_is_refused_at_once() -> None:
    source, plain = access.make_token("shop")
    access.source_for(bearer(plain), "publish", NOW_MS)
    source.delete()
    assert refusal(bearer(plain)).status == 401


def test_a_token_revoked_by_another_process_is_refused_within_five_seconds() -> None:
    source, plain = access.make_token("shop")
    access.source_for(bearer(plain), "publish", NOW_MS)
    Source.objects.filter(pk=source.pk).update(active=False)  # sends no signal, as another process
    assert refusal(bearer(plain), now_ms=NOW_MS + 5_000).status == 401


def test_a_clock_that_goes_back_does_not_keep_a_token_alive() -> None:
    source, plain = access.make_token("shop")
    access.source_for(bearer(plain), "publish", NOW_MS)
    Source.objects.filter(pk=source.pk).update(active=False)
    assert refusal(bearer(plain), now_ms=NOW_MS - 3_600_000).status == 401


def test_an_expired_token_is_refused_even_while_cached() -> None:
    _, plain = access.make_token("shop", expires_at=NOW + timedelta(seconds=1))
    assert access.source_for(bearer(plain), "publish", NOW_MS).name == "shop"
    refused = refusal(bearer(plain), now_ms=NOW_MS + 1_000)
    assert refused.status == 401
    assert "expired at 2026-09-21" in refused.message


@pytest.mark.parametrize(("made", "wanted"), [("read", "publish"), ("publish", "read")])
def test_a_token_of_another_scope_is_refused_as_forbidden(made: str, wanted: str) -> None:
    _, plain = access.make_token("shop", made)
    refused = refusal(bearer(plain), wanted)
    assert refused.status == 403
    assert wanted in refused.message


def test_a_name_is_given_once() -> None:
    access.make_token("shop")
    with pytest.raises(access.NameTaken, match="'shop' exists"):
        access.make_token("shop")
    assert Source.objects.count() == 1


def test_a_token_is_long_random_and_stored_only_as_a_hash() -> None:
    source, plain = access.make_token("shop")
    assert re.fullmatch(r"pb_[A-Za-z0-9_-]{43}", plain)
    assert plain != access.new_token()
    source.refresh_from_db()
    assert source.token_hash == hashlib.sha256(plain.encode()).hexdigest()
    assert plain not in str(vars(source))
    assert plain.startswith(source.prefix)
    assert len(source.prefix) <= 10


def test_a_good_token_is_known_by_any_spelling_of_bearer() -> None:
    source, plain = access.make_token("shop")
    for header in (f"Bearer {plain}", f"bearer   {plain} ", f"BEARER {plain}".encode()):
        assert access.source_for(header, "publish", NOW_MS) == source


def test_a_token_costs_one_query_in_a_few_seconds() -> None:
    _, plain = access.make_token("shop")
    with CaptureQueriesContext(connection) as queries:
        for passed_ms in range(0, 2_000, 100):
            access.source_for(bearer(plain), "publish", NOW_MS + passed_ms)
    assert len(queries) == 1


async def cached_async(plain: str) -> Source:
    return await access.asource_for(bearer(plain), "publish", NOW_MS)


@pytest.mark.django_db(transaction=True)
async def test_the_event_loop_asks_the_same_door() -> None:
    source = Source(name="shop")
    plain = access.set_token(source)
    await source.asave()
    assert await cached_async(plain) == source
    await Source.objects.aupdate(active=False)  # sends no signal: only a query would notice
    assert await cached_async(plain) == source
    with pytest.raises(AccessDenied):
        await cached_async(access.new_token())


def test_last_use_is_written_once_a_minute_and_not_in_the_way() -> None:
    source, _ = access.make_token("shop")
    uses = access.LastUsed()
    with CaptureQueriesContext(connection) as queries:
        for passed_ms in range(0, 59_000, 1_000):
            uses.note(source.pk, NOW_MS + passed_ms)
    assert not queries.captured_queries
    uses.flush()
    source.refresh_from_db()
    assert source.last_used_at == NOW
    uses.note(source.pk, NOW_MS + 60_000)
    uses.flush()
    source.refresh_from_db()
    assert source.last_used_at == NOW + timedelta(minutes=1)


@pytest.mark.django_db(transaction=True)
def test_last_use_reaches_the_database_by_itself() -> None:
    source, plain = access.make_token("shop")
    access.source_for(bearer(plain), "publish", NOW_MS)

    def written() -> bool:
        source.refresh_from_db()
        return source.last_used_at == NOW

    eventually(written, what="the last use is written")


@pytest.mark.parametrize("read_all", [True, False])
def test_active_people_and_reading_tokens_may_read(settings: Any, read_all: bool) -> None:
    settings.READ_ALL = read_all
    reader, _ = access.make_token("wall", "read")
    publisher, _ = access.make_token("shop", "publish")
    ada = User.objects.create_user("ada")
    gone = User.objects.create_superuser("bob", is_active=False)
    assert access.may_read(ada)
    assert access.may_read_everything(ada) is read_all
    assert access.may_read_everything(reader)
    assert access.may_read_everything(User.objects.create_superuser("root"))
    reader.active = False
    for nobody in (publisher, reader, gone, AnonymousUser(), None, "admin"):
        assert not access.may_read(nobody)
        assert not access.may_read_everything(nobody)


@pytest.mark.parametrize("by_group", [True, False])
def test_the_permission_to_view_metrics_is_that_to_read_everything(
    settings: Any, by_group: bool
) -> None:
    settings.READ_ALL = False
    ada, bob = (User.objects.create_user(name) for name in ("ada", "bob"))
    view_metric = Permission.objects.get(codename="view_metric")
    if by_group:
        readers = Group.objects.create(name="readers")
        readers.permissions.add(view_metric)
        ada.groups.add(readers)
    else:
        ada.user_permissions.add(view_metric)
    assert access.readers_of_everything([ada.pk, bob.pk]) == {ada.pk}


def test_the_limiter_lets_so_many_through_and_says_how_long_to_wait() -> None:
    limiter = Limiter(per_minute=10)
    for _ in range(10):
        assert limiter.wait_ms("ada", NOW_MS) == 0
        limiter.count("ada", NOW_MS)
    wait_ms = limiter.wait_ms("ada", NOW_MS)
    assert 5_900 < wait_ms <= 6_001
    assert limiter.wait_ms("bob", NOW_MS) == 0
    assert limiter.wait_ms("ada", NOW_MS + wait_ms) == 0
    limiter.give_back("ada", NOW_MS)
    assert limiter.wait_ms("ada", NOW_MS) == 0


def test_the_limiter_remembers_a_bounded_number_of_keys() -> None:
    limiter = Limiter(per_minute=1, keys=3)
    for number in range(10):
        limiter.count(f"key {number}", NOW_MS)
    assert limiter.wait_ms("key 0", NOW_MS) == 0
    assert limiter.wait_ms("key 9", NOW_MS) > 0
