"""Who is behind a socket: a signed-in person, or a token with scope `read`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
)
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.http import parse_cookie
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from dashboard.asking import Asking
from dashboard.protocol import Close
from metrics import access
from metrics.clock import now_ms
from metrics.models import Source

ASKED_AT_ONCE = 500  # rows; databases bound the parameters of a query


@dataclass(frozen=True, slots=True)
class Viewer:
    """`user` and `session` of a person, or `source` of a token: primary keys, and a session key.

    `proof` is a hash of the password or token they came with; `identity` is the row as it was.
    """

    user: int | None = None
    session: str | None = None
    source: int | None = None
    proof: str = ""
    identity: Any = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Whose connections are counted together."""
        return f"user {self.user}" if self.user is not None else f"token {self.source}"


class NotAllowed(Exception):
    """Nobody we let in; str() is the sentence, `code` the close code."""

    def __init__(self, code: Close, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


async def by_session(scope: dict[str, Any]) -> Viewer | None:
    """The person whose session cookie came with the handshake.

    None without a session, and without an Origin: only a page of ours may use the cookie
    (dashboard.origin has let no other origin through). Raises database errors.
    """
    if scope.get("origin") is None:
        return None
    sent = b"; ".join(value for name, value in scope["headers"] if name.lower() == b"cookie")
    key = parse_cookie(sent.decode("latin-1")).get(settings.SESSION_COOKIE_NAME, "")
    if not (key.isascii() and key.isalnum()):  # as all of Django's are
        return None
    return await _people.get(key)


async def by_token(token: str) -> Viewer:
    """The source of a token. Raises NotAllowed, and database errors."""
    viewer = await _tokens.get(token)
    if viewer is not None:
        return viewer
    try:
        source = await access.asource_for_token(token, Source.Scope.READ, now_ms())
    except access.AccessDenied as denied:
        code = Close.FORBIDDEN if denied.status == 403 else Close.UNAUTHENTICATED
        raise NotAllowed(code, denied.message) from None
    return _of_token(source)


def _let_in(tokens: set[str]) -> dict[str, Viewer]:
    """Those of these tokens that may read. metrics.access remembers them, and why not others."""
    found = {}
    for token in tokens:
        with contextlib.suppress(access.AccessDenied):
            found[token] = _of_token(access.source_for_token(token, Source.Scope.READ, now_ms()))
    return found


def _of_token(source: Source) -> Viewer:
    return Viewer(source=source.pk, proof=source.token_hash, identity=source)


def _signed_in(keys: set[str]) -> dict[str, Viewer]:
    """The people of these sessions; two queries however many they are.

    Checks what django.contrib.auth.get_user() checks, and changes nothing.
    """
    store = SessionStore()
    fresh = Session.objects.filter(expire_date__gt=timezone.now())
    sessions = {key: store.decode(row.session_data) for key, row in _rows(fresh, keys).items()}
    model = get_user_model()
    claims = {
        key: model._meta.pk.to_python(session[SESSION_KEY])
        for key, session in sessions.items()
        if session.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    }
    users = _rows(model._default_manager, set(claims.values()))
    proofs = {pk: user.get_session_auth_hash() for pk, user in users.items()}
    return {
        key: Viewer(pk, key, proof=proofs[pk], identity=users[pk])
        for key, pk in claims.items()
        if pk in users
        and access.may_read(users[pk])
        and constant_time_compare(sessions[key].get(HASH_SESSION_KEY, ""), proofs[pk])
    }


# Who has a hundred tabs open, or comes back with them after a restart, is looked up once: while one
# is open, rights_gone() looks after them all.
_people = Asking(_signed_in, keep_s=1.0)
_tokens = Asking(_let_in, keep_s=0)


@receiver(user_logged_out, dispatch_uid="dashboard.viewer.signed_out")
@receiver(post_delete, sender=Session, dispatch_uid="dashboard.viewer.session")
@receiver((post_save, post_delete), sender=get_user_model(), dispatch_uid="dashboard.viewer.person")
def _forget_people(**kwargs: object) -> None:
    if kwargs.get("created") or kwargs.get("update_fields") == {"last_login"}:
        return  # they are new here, or have just signed in
    _people.forget()
    # Until the commit another thread may read, and keep, the rows as they were.
    transaction.on_commit(_people.forget)


def why_not_person(viewer: Viewer, user: Any) -> str:
    """Why a person's socket has to end, now that their row is `user`; empty if it has not."""
    if user is None:
        return "the account was deleted"
    if not access.may_read(user):
        return "the account is not active"
    if user.get_session_auth_hash() != viewer.proof:
        return "the password was changed"
    return ""


def why_not_token(viewer: Viewer, source: Source | None) -> str:
    """The same for a token."""
    if source is None:
        return "the token was deleted"
    if not access.may_read(source) or source.token_hash != viewer.proof:
        return "the token was revoked"
    if source.expires_at is not None and source.expires_at <= timezone.now():
        return "the token has expired"
    return ""


def rights_gone(viewers: Iterable[Viewer]) -> dict[Viewer, str]:
    """Those of these whose socket has to end, and why. Asks the database, which other processes
    change too, and where sessions and tokens expire."""
    began = _people.begin()
    people = [viewer for viewer in viewers if viewer.user is not None]
    tokens = [viewer for viewer in viewers if viewer.source is not None]
    sources = _rows(Source.objects, {one.source for one in tokens})
    found = {one: why_not_token(one, sources.get(one.source)) for one in tokens}
    changed = _changed_people(people)
    users = _rows(get_user_model().objects, changed)
    fresh = Session.objects.filter(expire_date__gt=timezone.now()).values_list("pk")
    sessions = {pk for (pk,) in _parts(fresh, {one.session for one in people if one.session})}
    for one in people:
        reason = why_not_person(one, users.get(one.user)) if one.user in changed else ""
        found[one] = reason or ("signed out" if one.session not in sessions else "")
    gone = {viewer: reason for viewer, reason in found.items() if reason}
    if gone:
        _people.forget()
    _people.keep({one.session: one for one in people if one.session and one not in gone}, began)
    return gone


def _changed_people(people: Iterable[Viewer]) -> set[int]:
    """Whose rows are not as they were: looked at closely, which takes ten times as long."""
    were = {one.user: (one.identity.password, one.identity.is_active) for one in people}
    rows = get_user_model().objects.values_list("pk", "password", "is_active")
    are = {pk: rest for pk, *rest in _parts(rows, set(were))}
    return {pk for pk, was in were.items() if pk is not None and are.get(pk) != list(was)}


def _parts(rows: Any, keys: set[Any]) -> Iterator[Any]:
    """The rows with these primary keys."""
    wanted = sorted(keys)
    for start in range(0, len(wanted), ASKED_AT_ONCE):
        yield from rows.filter(pk__in=wanted[start : start + ASKED_AT_ONCE])


def _rows(rows: Any, keys: set[Any]) -> dict[Any, Any]:
    return {row.pk: row for row in _parts(rows, keys)}
