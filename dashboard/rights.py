"""Ends sockets at once when the rights behind them go: sign-out, password change, revoked token.
Ends watches when a dashboard is shared no longer, or no longer shows what is watched.

Other processes are told by the channel group, where one is shared. What is told to nobody (a change
in a shell, by SQL, or by time) the hub notices by asking the database twice a second.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.dispatch import receiver

from dashboard.models import Dashboard, Panel, Share
from dashboard.protocol import Close
from dashboard.viewer import Viewer, why_not_person, why_not_token
from metrics.models import Source

if TYPE_CHECKING:
    from dashboard.hub import Hub

_User: Any = get_user_model()


def _hubs() -> list[Hub]:
    """Those of this process. A command has none, and does not wait for what a hub needs."""
    module = sys.modules.get("dashboard.hub")
    return module.running() if module is not None else []


def _end(why: Callable[[Viewer], str]) -> None:
    def now() -> None:
        for one in _hubs():
            one.members.end_where(why, Close.UNAUTHENTICATED)
            one.tell_of_rights()

    transaction.on_commit(now)


# Not when user_logged_out is sent: the session is still there then, for other processes to find.
@receiver(post_delete, sender=Session, dispatch_uid="dashboard.rights.signed_out")
def _signed_out(instance: Session, **_: object) -> None:
    session = instance.session_key
    _end(lambda viewer: "signed out" if viewer.session == session else "")


@receiver([post_save, post_delete], sender=get_user_model(), dispatch_uid="dashboard.rights.person")
def _person_changed(instance: Any, **kwargs: object) -> None:
    if kwargs.get("created") or kwargs.get("update_fields") == {"last_login"}:
        return  # they are new here, or have just signed in
    pk = instance.pk  # Django takes it from a deleted instance
    user = instance if "created" in kwargs else None
    _end(lambda viewer: why_not_person(viewer, user) if viewer.user == pk else "")


@receiver([post_save, post_delete], sender=Source, dispatch_uid="dashboard.rights.token")
def _token_changed(instance: Source, **kwargs: object) -> None:
    if kwargs.get("created"):
        return
    pk = instance.pk
    source = instance if "created" in kwargs else None
    _end(lambda viewer: why_not_token(viewer, source) if viewer.source == pk else "")


def _look() -> None:
    """What is shared is read anew, and the watches that are not allowed any longer end."""

    def now() -> None:
        for one in _hubs():
            one.look_at_rights()
            one.tell_of_rights()

    if not settings.READ_ALL:
        transaction.on_commit(now)


@receiver([post_save, post_delete], sender=Share, dispatch_uid="dashboard.rights.share")
@receiver([post_save, post_delete], sender=Panel, dispatch_uid="dashboard.rights.panel")
@receiver([post_save, post_delete], sender=Dashboard, dispatch_uid="dashboard.rights.dashboard")
@receiver(post_delete, sender=Group, dispatch_uid="dashboard.rights.group")
def _sharing_changed(**_: object) -> None:
    _look()


@receiver(post_save, sender=get_user_model(), dispatch_uid="dashboard.rights.account")
def _account_changed(**kwargs: object) -> None:
    if not (kwargs.get("created") or kwargs.get("update_fields") == {"last_login"}):
        _look()  # they may be a superuser no longer


@receiver(m2m_changed, sender=_User.groups.through, dispatch_uid="dashboard.rights.member")
@receiver(m2m_changed, sender=_User.user_permissions.through, dispatch_uid="dashboard.rights.may")
@receiver(m2m_changed, sender=Group.permissions.through, dispatch_uid="dashboard.rights.group_may")
def _membership_changed(action: str, **_: object) -> None:
    if action.startswith("post_"):
        _look()
