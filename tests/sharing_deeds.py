"""Every way in which the right to a dashboard goes, by name: what gave it, and what takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import Group, User

from dashboard.models import Dashboard, Panel, Share
from tests.sharing_support import (
    Deed,
    board_b,
    may_view_metrics,
    readers_may_view_metrics,
    share_b,
    share_b_with_the_team,
    superuser,
)


def nothing(_: User) -> None:
    pass


def unshare(_: User) -> None:
    Share.objects.filter(dashboard__slug="b").delete()


def share_with_somebody_else(_: User) -> None:
    share = Share.objects.get(dashboard__slug="b")
    share.user = User.objects.create_user("bob")
    share.save()


def leave_the_team(user: User) -> None:
    user.groups.remove(Group.objects.get(name="team"))


def empty_the_team(_: User) -> None:
    Group.objects.get(name="team").user_set.clear()


def delete_the_team(_: User) -> None:
    Group.objects.get(name="team").delete()


def change_the_panels(_: User) -> None:
    for panel in Panel.objects.filter(dashboard__slug="b"):
        panel.expr, panel.kind = "sum(wages_of_others)", Panel.Kind.LINE
        panel.save()


def delete_the_panels(_: User) -> None:
    Panel.objects.filter(dashboard__slug="b").delete()


def move_the_panels(_: User) -> None:
    other = Dashboard.objects.create(slug="c", title="C")
    for panel in Panel.objects.filter(dashboard__slug="b"):
        panel.dashboard = other
        panel.save()


def delete_the_dashboard(_: User) -> None:
    board_b().delete()


def take_the_permission(user: User) -> None:
    user.user_permissions.clear()


def take_the_groups_permission(_: User) -> None:
    Group.objects.get(name="readers").permissions.clear()


def leave_the_readers(user: User) -> None:
    Group.objects.get(name="readers").user_set.remove(user)


def delete_the_readers(_: User) -> None:
    Group.objects.get(name="readers").delete()


def no_superuser(user: User) -> None:
    user.is_superuser = False
    user.save()


def quietly(rows: Callable[[User], Any]) -> Deed:
    """As another process does: no signal is sent here."""

    def delete(user: User) -> None:
        found = rows(user)
        found._raw_delete(found.db)

    return delete


def change_the_panels_elsewhere(_: User) -> None:
    Panel.objects.filter(dashboard__slug="b").update(expr="sum(wages_of_others)", kind="line")


def no_superuser_elsewhere(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_superuser=False)


TOLD: dict[str, tuple[Deed, Deed]] = {
    "the share is deleted": (share_b, unshare),
    "it is shared with somebody else": (share_b, share_with_somebody_else),
    "the team's share is deleted": (share_b_with_the_team, unshare),
    "they leave the team": (share_b_with_the_team, leave_the_team),
    "the team is emptied": (share_b_with_the_team, empty_the_team),
    "the team is deleted": (share_b_with_the_team, delete_the_team),
    "the panels draw something else": (share_b, change_the_panels),
    "the panels are deleted": (share_b, delete_the_panels),
    "the panels are moved": (share_b, move_the_panels),
    "the dashboard is deleted": (share_b, delete_the_dashboard),
    "the permission is taken": (may_view_metrics, take_the_permission),
    "the group's permission is taken": (readers_may_view_metrics, take_the_groups_permission),
    "they leave a group that may": (readers_may_view_metrics, leave_the_readers),
    "a group that may is deleted": (readers_may_view_metrics, delete_the_readers),
    "they are a superuser no longer": (superuser, no_superuser),
}
ELSEWHERE: dict[str, tuple[Deed, Deed]] = {
    "the share is deleted": (share_b, quietly(lambda _: Share.objects.filter(dashboard__slug="b"))),
    "they leave the team": (
        share_b_with_the_team,
        quietly(lambda _: User.groups.through.objects.all()),
    ),
    "the panels are deleted": (
        share_b,
        quietly(lambda _: Panel.objects.filter(dashboard__slug="b")),
    ),
    "the panels draw something else": (share_b, change_the_panels_elsewhere),
    "the permission is taken": (
        may_view_metrics,
        quietly(lambda _: User.user_permissions.through.objects.all()),
    ),
    "the group's permission is taken": (
        readers_may_view_metrics,
        quietly(lambda _: Group.permissions.through.objects.all()),
    ),
    "they are a superuser no longer": (superuser, no_superuser_elsewhere),
}
