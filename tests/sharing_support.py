"""A site where not everybody sees everything, and somebody who sees two dashboards of it.

Dashboard A draws orders; B draws wages and lists events. B, or what is on it, is what goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, Permission, User

from dashboard import protocol
from dashboard.models import Dashboard, Panel, Share
from tests.live_support import read
from tests.site_support import Person, Site

WAGES = "sum(wages)"
SECRET = 777_777.5  # a value of wages that was published after the right had gone
Deed = Callable[[User], None]


async def limited(site: Site, *deeds: Deed, name: str = "ann") -> Person:
    """Somebody with whom A and B are shared, B as `deeds` tell: by default with them alone."""
    person = await site.person(name)

    def prepare() -> None:
        Share.objects.create(dashboard=make_dashboards(), user=person.user)
        for deed in deeds or (share_b,):
            deed(person.user)

    await sync_to_async(prepare)()
    return person


def make_dashboards() -> Dashboard:
    """Dashboard A."""
    a = Dashboard.objects.create(slug="a", title="A")
    Panel.objects.create(dashboard=a, title="Orders", expr="orders")
    b = Dashboard.objects.create(slug="b", title="B")
    Panel.objects.create(dashboard=b, title="Wages", expr=WAGES)
    Panel.objects.create(dashboard=b, title="What happened", kind=Panel.Kind.EVENTS)
    return a


def board_b() -> Dashboard:
    return Dashboard.objects.get(slug="b")


def share_b(user: User) -> None:
    Share.objects.create(dashboard=board_b(), user=user)


def share_b_with_the_team(user: User) -> None:
    team, _ = Group.objects.get_or_create(name="team")
    user.groups.add(team)
    Share.objects.create(dashboard=board_b(), group=team)


def may_view_metrics(user: User) -> None:
    user.user_permissions.add(_view_metric())


def readers_may_view_metrics(user: User) -> None:
    readers = Group.objects.create(name="readers")
    readers.permissions.add(_view_metric())
    user.groups.add(readers)


def superuser(user: User) -> None:
    user.is_superuser = True
    user.save()


def _view_metric() -> Permission:
    return Permission.objects.get(codename="view_metric")


class Recorder:
    """Whatever a client received from some moment on, as it came."""

    def __init__(self, client: Any) -> None:
        self.messages: list[str | bytes] = []
        receive = client.socket.recv

        async def recorded() -> str | bytes:
            message: str | bytes = await receive()
            self.messages.append(message)
            return message

        client.socket.recv = recorded

    def of(self, id: int) -> list[protocol.ServerMessage]:
        """The frames of a watch."""
        frames = [read(message) for message in self.messages]
        return [frame for frame in frames if getattr(frame, "id", None) == id]

    def holds(self, text: str) -> bool:
        return any(text.encode() in _bytes(message) for message in self.messages)


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message
