"""The whole application on a real port, in the test's own event loop, over the test database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from dashboard.asgi import application
from dashboard.background import Roles, background
from metrics import access, catalog, intake
from metrics.clock import now_ms
from metrics.samples import EventSample, Sample
from tests.live_support import LiveClient, live
from tests.socket_support import Running, serving

PASSWORD = "correct horse battery staple"


@dataclass
class Site:
    running: Running

    @property
    def origin(self) -> str:
        """Of its own pages."""
        return f"http://127.0.0.1:{self.running.port}"

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.running.port}/live/"

    async def token(self, scope: str = "read", name: str = "tests") -> str:
        _, plain = await sync_to_async(access.make_token)(name, scope)
        return plain

    async def person(self, name: str = "ann") -> Person:
        return await sync_to_async(Person)(name)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[LiveClient]:
        """A socket that may read, already welcomed."""
        async with live(self.url, token=await self.token()) as client:
            yield client

    def opened_by(self, person: Person, **options: Any) -> AbstractAsyncContextManager[LiveClient]:
        """A socket that a page of ours opens for this person."""
        return live(self.url, cookie=person.cookie, **{"origin": self.origin, **options})


class Person:
    """Somebody with an account, signed in in a browser."""

    def __init__(self, name: str) -> None:
        self.user = User.objects.create_user(name, password=PASSWORD)
        self.browser = Client(headers={"host": "127.0.0.1"})
        self.browser.force_login(self.user)

    @property
    def cookie(self) -> str:
        key = self.browser.cookies[settings.SESSION_COOKIE_NAME].value
        return f"{settings.SESSION_COOKIE_NAME}={key}"


@pytest.fixture
async def site(transactional_db: None) -> AsyncIterator[Site]:
    """Without jobs: nothing is published but what the test publishes."""
    catalog.forget()
    access.forget()
    without_jobs = lambda: background(Roles(jobs=False, collect=False))  # noqa: E731
    async with serving(application, background=without_jobs) as running:
        yield Site(running)
    catalog.forget()
    access.forget()


async def publish(metric: str, value: float, at_ms: int | None = None, **labels: str) -> int:
    """Stores one sample, as a request to this server would; its time."""
    at_ms = now_ms() if at_ms is None else at_ms
    await intake.aaccept([Sample(metric, value, labels, at_ms)], now_ms=now_ms())
    return at_ms


async def tell(title: str, **labels: str) -> None:
    """Stores one event."""
    await intake.aaccept_events([EventSample(title, "", labels)], now_ms=now_ms())
