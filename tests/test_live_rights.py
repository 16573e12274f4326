"""Sockets end when the rights behind them go: within a second, also when others take them away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.contrib.sessions.models import Session
from django.utils import timezone

from dashboard import hub, protocol
from dashboard.layers import BELL_GROUP
from dashboard.protocol import Close
from metrics.models import Source
from tests.site_support import PASSWORD, Person, Site, site
from tests.support.waiting import aeventually

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


def session_is_deleted(person: Person) -> None:
    sessions = Session.objects.all()
    sessions._raw_delete(sessions.db)  # no signal is sent here


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
    """What ends a socket then is told, and not found by the look of each half second."""
    monkeypatch.setattr(hub, "RIGHTS_S", 3600.0)


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
            (session_is_deleted, "signed out"),
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

    @pytest.mark.usefixtures("nobody_looks")
    async def test_what_another_process_tells_of_ends_them_at_once(self, site: Site) -> None:
        layer: Any = get_channel_layer()
        ann, bob = await site.person("ann"), await site.person("bob")
        async with site.opened_by(ann) as leaving, site.opened_by(bob) as staying:
            await leaving.get(protocol.Welcome)
            await staying.get(protocol.Welcome)
            await sync_to_async(deactivate_elsewhere)(ann)
            # A ring is only a hint: one that comes while nobody listens yet may be lost.
            ending = asyncio.create_task(leaving.goodbye())

            async def told() -> bool:
                await layer.group_send(BELL_GROUP, {"type": "bell", "rights": "changed"})
                return ending.done()

            await aeventually(told)
            assert await ending == (Close.UNAUTHENTICATED, "the account is not active")
            await staying.watch("x")
            await staying.get(protocol.Snapshot)

    @pytest.mark.usefixtures("nobody_looks")
    async def test_the_other_processes_are_told(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ann = await site.person()
        told: list[str] = []
        (here,) = hub.running()
        monkeypatch.setattr(here, "tell_of_rights", lambda: told.append("told"))
        ann.user.last_login = timezone.now()
        await ann.user.asave(update_fields=["last_login"])
        assert not told, "signing in takes nothing from anybody"
        await sync_to_async(deactivate)(ann)
        assert told == ["told"]

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
