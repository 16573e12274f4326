"""Sockets end when the rights behind them go: within a second, also when others take them away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.utils import timezone

from dashboard import hub, protocol
from dashboard.protocol import Close
from metrics.models import Source
from tests.site_support import PASSWORD, Person, Site, site

__all__ = ["site"]  # a fixture


def sign_out(person: Person) -> None:
    person.browser.post("/signout/")


def change_password(person: Person) -> None:
    person.user.set_password(PASSWORD + "!")
    person.user.save()


def deactivate(person: Person) -> None:
    person.user.is_active = False
    person.user.save(update_fields=["is_active"])


def delete(person: Person) -> None:
    person.user.delete()


def deactivate_elsewhere(person: Person) -> None:
    """As another process does: no signal is sent here."""
    type(person.user)._default_manager.filter(pk=person.user.pk).update(is_active=False)


def change_password_elsewhere(person: Person) -> None:
    type(person.user)._default_manager.filter(pk=person.user.pk).update(password="other")


def session_expires(person: Person) -> None:
    Session.objects.update(expire_date=timezone.now())


def revoke(source: Source) -> None:
    source.active = False
    source.save()


def change_scope(source: Source) -> None:
    source.scope = Source.Scope.PUBLISH
    source.save()


def renew(source: Source) -> None:
    source.token_hash = "0" * 64
    source.save()


def delete_token(source: Source) -> None:
    source.delete()


def revoke_elsewhere(source: Source) -> None:
    Source.objects.filter(pk=source.pk).update(active=False)


def token_expires(source: Source) -> None:
    Source.objects.filter(pk=source.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


@pytest.fixture
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a socket then is told, and not found by the look of each second."""
    monkeypatch.setattr(hub, "SECOND_S", 3600.0)


class TestRightsThatGo:
    @pytest.mark.parametrize(
        ("deed", "reason"),
        [
            (sign_out, "signed out"),
            (change_password, "the password was changed"),
            (deactivate, "the account is not active"),
            (delete, "the account was deleted"),
        ],
    )
    @pytest.mark.usefixtures("nobody_looks")
    async def test_a_persons_sockets_end_at_once(
        self, site: Site, deed: Callable[[Person], None], reason: str
    ) -> None:
        await self.ends_with_the_persons_rights(site, deed, reason)

    @pytest.mark.parametrize(
        ("deed", "reason"),
        [
            (deactivate_elsewhere, "the account is not active"),
            (change_password_elsewhere, "the password was changed"),
            (session_expires, "signed out"),
        ],
    )
    async def test_a_persons_sockets_end_soon(
        self, site: Site, deed: Callable[[Person], None], reason: str
    ) -> None:
        await self.ends_with_the_persons_rights(site, deed, reason)

    async def ends_with_the_persons_rights(
        self, site: Site, deed: Callable[[Person], None], reason: str
    ) -> None:
        ann = await site.person()
        async with site.opened_by(ann) as client:
            await client.get(protocol.Welcome)
            await client.watch("x")
            await client.get(protocol.Snapshot)
            await sync_to_async(deed)(ann)
            said = await client.goodbye()
        assert said == (Close.UNAUTHENTICATED, reason)

    @pytest.mark.parametrize(
        ("deed", "reason"),
        [
            (revoke, "the token was revoked"),
            (change_scope, "the token was revoked"),
            (renew, "the token was revoked"),
            (delete_token, "the token was deleted"),
        ],
    )
    @pytest.mark.usefixtures("nobody_looks")
    async def test_a_tokens_sockets_end_at_once(
        self, site: Site, deed: Callable[[Source], None], reason: str
    ) -> None:
        await self.ends_with_the_tokens_rights(site, deed, reason)

    @pytest.mark.parametrize(
        ("deed", "reason"),
        [
            (revoke_elsewhere, "the token was revoked"),
            (token_expires, "the token has expired"),
        ],
    )
    async def test_a_tokens_sockets_end_soon(
        self, site: Site, deed: Callable[[Source], None], reason: str
    ) -> None:
        await self.ends_with_the_tokens_rights(site, deed, reason)

    async def ends_with_the_tokens_rights(
        self, site: Site, deed: Callable[[Source], None], reason: str
    ) -> None:
        async with site.reading() as client:
            await sync_to_async(deed)(await Source.objects.aget())
            said = await client.goodbye()
        assert said == (Close.UNAUTHENTICATED, reason)

    async def test_other_peoples_sockets_and_other_browsers_stay(self, site: Site) -> None:
        ann, bob = await site.person("ann"), await site.person("bob")
        async with site.opened_by(ann) as leaving, site.opened_by(bob) as staying:
            await staying.get(protocol.Welcome)
            await sync_to_async(sign_out)(ann)
            assert (await leaving.goodbye())[0] == 4401
            await staying.watch("x")
            await staying.get(protocol.Snapshot)

    async def test_what_changes_nothing_ends_nothing(self, site: Site) -> None:
        ann = await site.person()
        async with site.opened_by(ann) as client:
            await client.get(protocol.Welcome)
            ann.user.first_name = "Ann"
            await ann.user.asave()
            await ann.user.arefresh_from_db()
            await client.get(protocol.Heartbeat)
            await client.watch("x")
            await client.get(protocol.Snapshot)
