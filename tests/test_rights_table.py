"""Who may do what: every role at every door, against the whole application on a real port.

Dashboard A draws orders and lists events, B draws wages; "neither" is on no dashboard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, Permission, User

from dashboard import protocol
from dashboard.models import Dashboard, Panel, Share
from metrics.models import Source
from tests.rights_support import Outcome, Visitor
from tests.site_support import Person, Site, publish, site, tell

__all__ = ["site"]  # a fixture

PAST_MS = 1_790_000_000_000


def question(expr: str, **options: Any) -> tuple[protocol.ClientMessage, type]:
    return protocol.Watch(1, expr, range_ms=60_000, step_ms=1000, **options), protocol.Snapshot


WATCHES: dict[str, tuple[protocol.ClientMessage, type]] = {
    "A": question(" orders "),  # spelled otherwise than the panel's
    "A, past": question("orders", end_ms=PAST_MS),
    "B": question("sum(wages)"),
    "B, past": question("sum(wages)", end_ms=PAST_MS),
    "neither": question('orders{region=~".*"}'),
    "events": (protocol.WatchEvents(1), protocol.Events),
    "metrics": (protocol.WatchMetrics(1), protocol.Metrics),
    "who is on A": (protocol.WatchPresence(1, "a"), protocol.Presence),
    "who is on B": (protocol.WatchPresence(1, "b"), protocol.Presence),
}
WAYS = ("socket", "stream", "poll")
SAMPLES = {"samples": [{"metric": "orders", "value": 1}]}
EVENTS = {"events": [{"title": "deployed"}]}
REQUESTS: dict[str, tuple[Any, ...]] = {
    "publish": ("POST", "/api/v1/samples", SAMPLES),
    "publish an event": ("POST", "/api/v1/events", EVENTS),
    "export": ("GET", "/api/v1/export?metric=orders"),
    "A in the list": ("GET", "/", None, 'href="/d/a/"'),
    "B in the list": ("GET", "/", None, 'href="/d/b/"'),
    "page of A": ("GET", "/d/a/"),
    "page of B": ("GET", "/d/b/"),
    "page of all metrics": ("GET", "/metrics/"),
    "page of a metric": ("GET", "/metrics/orders/"),
    "admin": ("GET", "/admin/"),
    "dashboards in the admin": ("GET", "/admin/dashboard/dashboard/"),
    "tokens in the admin": ("GET", "/admin/metrics/source/"),
    "people in the admin": ("GET", "/admin/auth/user/"),
}
NOTES = ("annotate", "annotate by a request")
PAGES = tuple(name for name, request in REQUESTS.items() if request[1][:4] != "/api")
ADMIN = tuple(name for name in PAGES if "admin" in name)
DOORS = (*(f"{way}: {what}" for way in WAYS for what in WATCHES), *NOTES, *REQUESTS)

Cells = dict[str, Outcome]


def watches(outcome: Outcome, *only: str, by_request: Outcome | None = None) -> Cells:
    """`outcome` for these watches (all if none is named) over every way in."""
    found = {f"{way}: {what}": outcome for way in WAYS for what in only or WATCHES}
    if by_request is not None:
        found |= {name: by_request for name in found if not name.startswith("socket")}
    return found


def some(outcome: Outcome, *names: str) -> Cells:
    return dict.fromkeys(names, outcome)


# What a door answers: True is "come in" and False "it is not there", a number the status or the
# close code, a word the error's code or the page one is sent to.
PUBLISHING = ("publish", "publish an event")
SIGN_IN = some("signin", *PAGES)
NOBODY = {
    **watches(4401, by_request=401),
    **some(401, *PUBLISHING, "export", "annotate by a request"),
    "annotate": 4401,
    **SIGN_IN,
}
READER = {
    **watches(True),
    **some("forbidden", *NOTES),
    **some(403, *PUBLISHING),
    "export": True,
    **SIGN_IN,
}
PERSON = {
    **watches(True),
    **some("forbidden", *NOTES),
    **some(401, *PUBLISHING),
    **some(True, "export", *PAGES),
    **some(403, *ADMIN),
}
ALONE = {  # what is left to whom nothing is shared with
    **PERSON,
    **watches("forbidden"),
    **some(403, "export", "page of all metrics", "page of a metric"),
    **some(False, "A in the list", "B in the list"),
    **some(404, "page of A", "page of B"),
}
SEES_A = {
    **ALONE,
    **watches(True, "A", "A, past", "events", "who is on A"),
    **some(True, "A in the list", "page of A"),
}
SEES_B = {
    **ALONE,
    **watches(True, "B", "B, past", "who is on B"),
    **some(True, "B in the list", "page of B"),
}
INSIDE = some(True, *ADMIN)
EXPECTED: dict[str, Cells] = {
    "anonymous": NOBODY,
    "wrong token": NOBODY,
    "revoked token": NOBODY,
    "publish token": {
        **watches(4403, by_request=403),
        **some(True, *PUBLISHING),
        "export": 403,
        "annotate": 4403,
        "annotate by a request": 403,
        **SIGN_IN,
    },
    "read token": READER,
    "inactive user": NOBODY,
    "user": PERSON,
    "staff": {**PERSON, "admin": True},
    "superuser": {**PERSON, **INSIDE, **some(True, *NOTES)},
    "anonymous, not all": NOBODY,
    "read token, not all": READER,
    "inactive user with A": NOBODY,
    "user with nothing": ALONE,
    "user with A": SEES_A,
    "member of a group with A": SEES_A,
    "user with B": SEES_B,
    "user with A who may annotate": {**SEES_A, **some(True, *NOTES)},
    "staff with A": {**SEES_A, "admin": True},
    "staff of the dashboards": {**ALONE, **some(True, "admin", "dashboards in the admin")},
    "user who may view metrics": PERSON,
    "member who may view metrics": PERSON,
    "superuser, not all": {**PERSON, **INSIDE, **some(True, *NOTES)},
}

Role = Callable[[Site], Awaitable[Visitor]]


async def anonymous(site: Site) -> Visitor:
    return Visitor(site)


async def wrong_token(site: Site) -> Visitor:
    return Visitor(site, "pb_" + "a" * 43)


async def revoked_token(site: Site) -> Visitor:
    token = await site.token("read")
    await sync_to_async(_revoke)()
    return Visitor(site, token)


def _revoke() -> None:
    source = Source.objects.get()
    source.active = False
    source.save()


def token(scope: str) -> Role:
    async def source(site: Site) -> Visitor:
        return Visitor(site, await site.token(scope))

    return source


def shared(board: str, group: bool = False) -> Callable[[User], None]:
    def share(user: User) -> None:
        found = Dashboard.objects.get(slug=board)
        if group:
            made = Group.objects.create(name="team")
            user.groups.add(made)
            Share.objects.create(dashboard=found, group=made)
        else:
            Share.objects.create(dashboard=found, user=user)

    return share


def may(*names: str, group: bool = False) -> Callable[[User], None]:
    def permit(user: User) -> None:
        found = Permission.objects.filter(codename__in=names)
        assert len(found) == len(names)
        if group:
            made = Group.objects.create(name="readers")
            made.permissions.set(found)
            user.groups.add(made)
        else:
            user.user_permissions.set(found)

    return permit


def somebody(*deeds: Callable[[User], None], **fields: bool) -> Role:
    async def person(site: Site) -> Visitor:
        one: Person = await site.person()

        def prepare() -> None:
            for name, value in fields.items():
                setattr(one.user, name, value)
            one.user.save()
            for deed in deeds:
                deed(one.user)

        await sync_to_async(prepare)()
        return Visitor(site, one)

    return person


ROLES: dict[str, Role] = {
    "anonymous": anonymous,
    "wrong token": wrong_token,
    "revoked token": revoked_token,
    "publish token": token("publish"),
    "read token": token("read"),
    "inactive user": somebody(is_active=False),
    "user": somebody(),
    "staff": somebody(is_staff=True),
    "superuser": somebody(is_staff=True, is_superuser=True),
}
# With READ_ALL=0:
LIMITED: dict[str, Role] = {
    "anonymous, not all": anonymous,
    "read token, not all": token("read"),
    "inactive user with A": somebody(shared("a"), is_active=False),
    "user with nothing": somebody(),
    "user with A": somebody(shared("a")),
    "member of a group with A": somebody(shared("a", group=True)),
    "user with B": somebody(shared("b")),
    "user with A who may annotate": somebody(shared("a"), may("add_event")),
    "staff with A": somebody(shared("a"), is_staff=True),
    "staff of the dashboards": somebody(may("change_dashboard", "change_panel"), is_staff=True),
    "user who may view metrics": somebody(may("view_metric")),
    "member who may view metrics": somebody(may("view_metric", group=True)),
    "superuser, not all": somebody(is_staff=True, is_superuser=True),
}


def make_dashboards() -> None:
    a = Dashboard.objects.create(slug="a", title="A")
    Panel.objects.create(dashboard=a, title="Orders", expr="orders")
    Panel.objects.create(dashboard=a, title="What happened", kind=Panel.Kind.EVENTS)
    b = Dashboard.objects.create(slug="b", title="B")
    Panel.objects.create(dashboard=b, title="Wages", expr="sum(wages)")


def test_the_table_has_a_cell_for_every_role_at_every_door() -> None:
    assert EXPECTED.keys() == ROLES.keys() | LIMITED.keys()
    assert all(set(cells) == set(DOORS) for cells in EXPECTED.values())
    assert sum(map(len, EXPECTED.values())) == 924


@pytest.mark.parametrize("role", [*ROLES, *LIMITED])
async def test_each_role_gets_through_its_doors_and_no_others(
    site: Site, role: str, settings: Any
) -> None:
    settings.READ_ALL = role in ROLES
    await sync_to_async(make_dashboards)()
    await publish("orders", 1.0)
    await publish("wages", 1.0)
    await tell("deployed")
    visitor = await (ROLES | LIMITED)[role](site)
    found: Cells = {}
    for way in WAYS:
        for what, (asked, wanted) in WATCHES.items():
            found[f"{way}: {what}"] = await getattr(visitor, way)(asked, wanted)
    found["annotate"] = await visitor.annotate()
    found["annotate by a request"] = await visitor.annotate_by_request()
    for name, asked_for in REQUESTS.items():
        found[name] = await asyncio.to_thread(visitor.asks, *asked_for)
    assert found == EXPECTED[role]
