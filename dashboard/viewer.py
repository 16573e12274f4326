"""Who is behind a socket: a signed-in person, or a token with scope `read`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from channels.auth import get_user
from channels.db import database_sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.utils import timezone

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
    (dashboard.origin has let no other origin through).
    """
    if scope.get("origin") is None:
        return None
    user: Any = await get_user(scope)
    if not access.may_read(user):
        return None
    session = await database_sync_to_async(lambda: scope["session"].session_key)()
    return Viewer(user.pk, session, proof=user.get_session_auth_hash(), identity=user)


async def by_token(token: str) -> Viewer:
    """The source of a token. Raises NotAllowed."""
    try:
        source = await access.asource_for_token(token, Source.Scope.READ, now_ms())
    except access.AccessDenied as denied:
        code = Close.FORBIDDEN if denied.status == 403 else Close.UNAUTHENTICATED
        raise NotAllowed(code, denied.message) from None
    return Viewer(source=source.pk, proof=source.token_hash, identity=source)


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
    people = [viewer for viewer in viewers if viewer.user is not None]
    tokens = [viewer for viewer in viewers if viewer.source is not None]
    users = _rows(get_user_model().objects, {one.user for one in people})
    sources = _rows(Source.objects, {one.source for one in tokens})
    sessions = _rows(
        Session.objects.filter(expire_date__gt=timezone.now()).defer("session_data"),
        {one.session for one in people if one.session},
    )
    found = {one: why_not_token(one, sources.get(one.source)) for one in tokens}
    for one in people:
        signed_out = "signed out" if one.session not in sessions else ""
        found[one] = why_not_person(one, users.get(one.user)) or signed_out
    return {viewer: reason for viewer, reason in found.items() if reason}


def _rows(rows: Any, keys: set[Any]) -> dict[Any, Any]:
    wanted = sorted(keys)
    found: dict[Any, Any] = {}
    for start in range(0, len(wanted), ASKED_AT_ONCE):
        found |= rows.in_bulk(wanted[start : start + ASKED_AT_ONCE])
    return found
