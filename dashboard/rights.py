"""Ends sockets at once when the rights behind them go: sign-out, password change, revoked token.

What another process changes, or time does, the hub notices by asking the database each second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from dashboard import hub
from dashboard.protocol import Close
from dashboard.viewer import Viewer, why_not_person, why_not_token
from metrics.models import Source


def _end(why: Callable[[Viewer], str]) -> None:
    def now() -> None:
        for one in hub.running():
            one.members.end_where(why, Close.UNAUTHENTICATED)

    transaction.on_commit(now)


@receiver(user_logged_out, dispatch_uid="dashboard.rights.signed_out")
def _signed_out(request: Any, **_: object) -> None:
    session = request.session.session_key if request is not None else None
    if session:
        _end(lambda viewer: "signed out" if viewer.session == session else "")


@receiver([post_save, post_delete], sender=get_user_model(), dispatch_uid="dashboard.rights.person")
def _person_changed(instance: Any, **kwargs: object) -> None:
    pk = instance.pk  # Django takes it from a deleted instance
    user = instance if "created" in kwargs else None
    _end(lambda viewer: why_not_person(viewer, user) if viewer.user == pk else "")


@receiver([post_save, post_delete], sender=Source, dispatch_uid="dashboard.rights.token")
def _token_changed(instance: Source, **kwargs: object) -> None:
    pk = instance.pk
    source = instance if "created" in kwargs else None
    _end(lambda viewer: why_not_token(viewer, source) if viewer.source == pk else "")
