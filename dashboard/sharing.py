"""Who may see which dashboards, and so what they may watch.

Who may read everything (metrics.access.may_read_everything) sees all of them. Everybody else sees
those that are shared with them or with one of their groups, and may watch what is on these: the
expressions of their panels, over any range, the events where there is a list of them, and who is
there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from dashboard.models import Dashboard, Panel, Share
from metrics import access
from metrics.access import ASKED_AT_ONCE
from metrics.query import Expression, ExpressionError, parse

Row = tuple[str, str, str]  # of a panel: its dashboard's slug, its kind, its expression

parsed = lru_cache(maxsize=1024)(parse)  # everybody on a dashboard asks for the same


@dataclass(frozen=True, slots=True)
class Topic:
    """What can be watched besides expressions. `board`: the slug of a dashboard."""

    kind: Literal["events", "metrics", "presence"]
    board: str = ""


EVENTS, METRICS = Topic("events"), Topic("metrics")

# Expressions are compared as they were parsed: spaces and the like make no difference.
Subject = Expression | Topic


@dataclass(frozen=True, slots=True)
class Grants:
    """What somebody may watch; None: everything."""

    subjects: frozenset[Subject] | None

    def allow(self, subject: Subject | None) -> bool:
        """Whether it may be watched; of what has no subject only by whom everything may be."""
        return self.subjects is None or subject in self.subjects


EVERYTHING = Grants(None)


def visible_to(identity: Any) -> QuerySet[Dashboard]:
    """The dashboards that a person or a token may see. Asks the database."""
    if access.may_read_everything(identity):
        return Dashboard.objects.all()
    if not access.may_read(identity):
        return Dashboard.objects.none()
    mine = Share.objects.filter(Q(user=identity) | Q(group__user=identity))
    return Dashboard.objects.filter(pk__in=mine.values("dashboard"))


def sees_only_shared(identity: Any) -> bool:
    """Whether somebody is signed in who may not read everything. Asks the database."""
    return not isinstance(identity, AnonymousUser) and not access.may_read_everything(identity)


def grants_of(accounts: set[int]) -> dict[int, Grants]:
    """What each of these accounts (primary keys) may watch now. Asks the database.

    As long as nothing has changed it is the same object for the same account.
    """
    if settings.READ_ALL:
        return dict.fromkeys(accounts, EVERYTHING)
    found = dict.fromkeys(access.readers_of_everything(accounts), EVERYTHING)
    shared = _shared_with(accounts - found.keys())
    rows = _rows_of({board for boards in shared.values() for board in boards})
    made: dict[frozenset[int], Grants] = {}
    for account, boards in shared.items():
        if boards not in made:
            made[boards] = _grants(frozenset(row for board in boards for row in rows[board]))
        found[account] = made[boards]
    return found


def _shared_with(accounts: set[int]) -> dict[int, frozenset[int]]:
    """The dashboards that are shared with each of these accounts."""
    if not accounts:
        return {}
    of_person: dict[int, set[int]] = {}
    of_group: dict[int, set[int]] = {}
    for board, person, group in Share.objects.values_list("dashboard_id", "user_id", "group_id"):
        if person is not None:
            of_person.setdefault(person, set()).add(board)
        if group is not None:
            of_group.setdefault(group, set()).add(board)
    found = {account: of_person.get(account, set()) for account in accounts}
    for account, group in _memberships(accounts, of_group):
        found[account] = found[account] | of_group[group]
    return {account: frozenset(boards) for account, boards in found.items()}


def _memberships(accounts: set[int], groups: Iterable[int]) -> Iterable[tuple[int, int]]:
    """(account, group) for those of these accounts in those groups."""
    members = get_user_model()._default_manager.filter(groups__in=list(groups))
    wanted = sorted(accounts)
    for at in range(0, len(wanted), ASKED_AT_ONCE):
        part = members.filter(pk__in=wanted[at : at + ASKED_AT_ONCE])
        yield from part.values_list("pk", "groups")


def _rows_of(boards: set[int]) -> dict[int, list[Row]]:
    """What there is to watch on each of these dashboards."""
    found: dict[int, list[Row]] = {}
    if boards:
        held = Dashboard.objects.filter(pk__in=Share.objects.values("dashboard"))
        rows = held.values_list("pk", "slug", "panels__kind", "panels__expr").order_by()
        for board, slug, kind, expr in rows:
            found.setdefault(board, []).append((slug, kind or "", expr or ""))
    return {board: found.get(board, []) for board in boards}


@lru_cache(maxsize=1024)
def _grants(rows: frozenset[Row]) -> Grants:
    subjects: set[Subject] = set()
    for slug, kind, expr in rows:
        subjects.add(Topic("presence", slug))
        if kind == Panel.Kind.EVENTS:
            subjects.add(EVENTS)
        elif expr:
            try:
                subjects.add(parsed(expr))
            except ExpressionError:
                continue  # nobody can watch it; its panel says why
    return Grants(frozenset(subjects))
