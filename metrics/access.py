"""Who may see or publish what: the single door for people and tokens."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, PermissionsMixin
from django.db import connection, transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from metrics.models import Source
from metrics.threads import beside_loop

CACHE_MS = 3_000  # a token revoked by another process is refused after this long at the latest
CACHE_TOKENS = 10_000
TOUCH_INTERVAL_MS = 60_000
TOUCH_DELAY_SECONDS = 1.0
PREFIX_CHARACTERS = 10
ASKED_AT_ONCE = 500  # rows; databases bound the parameters of a query

_TOKEN = re.compile(r"pb_[A-Za-z0-9_-]{43}", re.ASCII)
_log = logging.getLogger(__name__)


class AccessDenied(Exception):
    """No, with the HTTP status that fits (401 or 403) and one sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class UnknownToken(AccessDenied):
    """It looks like a token and is none: what a guess looks like."""

    def __init__(self) -> None:
        super().__init__(401, "This token is not known here: it was mistyped or deleted.")


class NameTaken(ValueError):
    """A source of this name exists; str() is the sentence."""


def hash_token(plain: str) -> str:
    """What is stored of a token. It has 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def new_token() -> str:
    """A token nobody has seen: "pb_" and 43 URL-safe characters."""
    return f"pb_{secrets.token_urlsafe(32)}"


def set_token(source: Source) -> str:
    """Gives `source` a new token without saving it; returns the token, which is kept nowhere."""
    plain = new_token()
    source.token_hash = hash_token(plain)
    source.prefix = plain[:PREFIX_CHARACTERS]
    return plain


def make_token(
    name: str,
    scope: str = Source.Scope.PUBLISH,
    created_by: Any = None,
    expires_at: datetime | None = None,
) -> tuple[Source, str]:
    """Makes a source and its token. Raises NameTaken."""
    source = Source(name=name, scope=scope, created_by=created_by, expires_at=expires_at)
    plain = set_token(source)
    with transaction.atomic():
        if Source.objects.filter(name=name).exists():
            raise NameTaken(
                f"A token named {name!r} exists: choose another name, or delete that one in the "
                "admin first."
            )
        source.save(force_insert=True)
    return source, plain


def token_of(authorization: str | bytes | None) -> str:
    """The token in an Authorization header. Raises AccessDenied(401)."""
    if isinstance(authorization, bytes):
        authorization = authorization.decode("latin-1")
    if not authorization:
        raise AccessDenied(
            401, "No token: expected the header Authorization: Bearer pb_... (manage.py token)."
        )
    scheme, _, plain = authorization.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise AccessDenied(401, "Not a bearer token: expected Authorization: Bearer pb_...")
    return plain.strip()


def source_for(authorization: str | bytes | None, scope: str, now_ms: int) -> Source:
    """The source whose token an Authorization header holds. Raises AccessDenied."""
    return source_for_token(token_of(authorization), scope, now_ms)


async def asource_for(authorization: str | bytes | None, scope: str, now_ms: int) -> Source:
    """source_for() for the event loop; no query while the token is cached."""
    return await asource_for_token(token_of(authorization), scope, now_ms)


def source_for_token(plain: str, scope: str, now_ms: int) -> Source:
    """The source of a token. Raises AccessDenied."""
    hashed = _well_formed(plain)
    hit, source = _cache.get(hashed, now_ms)
    if not hit:
        generation = _cache.generation
        source = Source.objects.filter(token_hash=hashed).first()
        _cache.put(hashed, source, now_ms, generation)
    return _admit(source, scope, now_ms)


async def asource_for_token(plain: str, scope: str, now_ms: int) -> Source:
    """source_for_token() for the event loop."""
    hashed = _well_formed(plain)
    hit, source = _cache.get(hashed, now_ms)
    if not hit:
        generation = _cache.generation
        source = await beside_loop(Source.objects.filter(token_hash=hashed).first)
        _cache.put(hashed, source, now_ms, generation)
    return _admit(source, scope, now_ms)


def forget() -> None:
    """Drops every cached token: after Source rows were changed without save() or delete()."""
    _cache.clear()


def may_read(identity: object) -> bool:
    """Whether a person or a token may come in: any active account, any reading token."""
    if isinstance(identity, Source):
        return identity.active and identity.scope == Source.Scope.READ
    if isinstance(identity, AnonymousUser) or not isinstance(identity, AbstractBaseUser):
        return False
    return bool(identity.is_active)


def may_annotate(identity: object) -> bool:
    """Whether a person may publish events from a page: an active account with the permission
    `metrics.add_event`, which superusers have. Asks the database.

    No token may: one of scope `publish` publishes over HTTP, and does not come in where pages do.
    """
    return isinstance(identity, PermissionsMixin) and bool(identity.has_perm("metrics.add_event"))


def may_read_everything(identity: object) -> bool:
    """Whether all metrics, events and dashboards are somebody's to see; may ask the database.

    Those of every reading token. Of an account by the setting READ_ALL; without it by the
    permission `metrics.view_metric`, which superusers have. The others see what is shared with them
    (dashboard.sharing).
    """
    if not may_read(identity):
        return False
    if settings.READ_ALL or isinstance(identity, Source):
        return True
    return bool(readers_of_everything([identity.pk]))  # type: ignore[attr-defined]


def readers_of_everything(accounts: Collection[int]) -> set[int]:
    """Those of these accounts (primary keys) that have the permission `metrics.view_metric`."""
    holders = ModelBackend().with_perm("metrics.view_metric").values_list("pk", flat=True)
    wanted = sorted(accounts)
    parts = (wanted[at : at + ASKED_AT_ONCE] for at in range(0, len(wanted), ASKED_AT_ONCE))
    return {pk for part in parts for pk in holders.filter(pk__in=part)}


@dataclass(frozen=True, slots=True)
class _Cached:
    source: Source | None
    read_at_ms: int


class _Cache:
    """Token hash -> Source, None for a token that does not exist; a few seconds long.

    `generation` counts invalidations: a row read before one must not be cached after it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Cached] = OrderedDict()
        self.generation = 0

    def get(self, hashed: str, now_ms: int) -> tuple[bool, Source | None]:
        entry = self._entries.get(hashed)
        # A clock that went back makes the age negative: read again.
        if entry is None or not 0 <= now_ms - entry.read_at_ms < CACHE_MS:
            return False, None
        return True, entry.source

    def put(self, hashed: str, source: Source | None, now_ms: int, generation: int) -> None:
        with self._lock:
            if generation != self.generation:
                return
            self._entries[hashed] = _Cached(source, now_ms)
            self._entries.move_to_end(hashed)
            while len(self._entries) > CACHE_TOKENS:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self.generation += 1
            self._entries.clear()


class LastUsed:
    """Writes down when tokens were last used: at most once a minute each, never in the way.

    Notes are collected and written by a short-lived thread a second later. What it cannot write
    is dropped: the next use is noted again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written_ms: dict[int, int] = {}
        self._pending: dict[int, int] = {}
        self._timer: threading.Timer | None = None

    def note(self, source_id: int, now_ms: int) -> None:
        if abs(now_ms - self._written_ms.get(source_id, 0)) < TOUCH_INTERVAL_MS:
            return
        with self._lock:
            self._written_ms[source_id] = now_ms
            self._pending[source_id] = now_ms
            if self._timer is None:
                self._timer = threading.Timer(TOUCH_DELAY_SECONDS, self._run)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Writes what is noted, now and in this thread."""
        with self._lock:
            pending, self._pending = self._pending, {}
            self._timer = None
        for source_id, at_ms in pending.items():
            used_at = datetime.fromtimestamp(at_ms / 1000, UTC)
            Source.objects.filter(pk=source_id).update(last_used_at=used_at)

    def _run(self) -> None:
        try:
            self.flush()
        except Exception as error:
            # Bookkeeping: no reason to fill a site's log with tracebacks.
            _log.warning("When tokens were last used could not be written: %s", error)
        finally:
            connection.close()


last_used = LastUsed()
_cache = _Cache()


def _well_formed(plain: str) -> str:
    """The hash of a token that looks like one; anything else costs no query."""
    if not _TOKEN.fullmatch(plain):
        raise AccessDenied(401, "This is not a token: expected pb_ and 43 letters, digits, - or _.")
    return hash_token(plain)


def _admit(source: Source | None, scope: str, now_ms: int) -> Source:
    if source is None:
        raise UnknownToken
    if not source.active:
        raise AccessDenied(401, f"The token {source.name!r} was revoked.")
    now = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=now_ms)
    if source.expires_at is not None and source.expires_at <= now:
        raise AccessDenied(
            401, f"The token {source.name!r} expired at {source.expires_at:%Y-%m-%d %H:%M} UTC."
        )
    if source.scope != scope:
        raise AccessDenied(
            403,
            f"The token {source.name!r} is for scope {source.scope}: expected one for scope "
            f"{scope} (manage.py token <name> --scope {scope}).",
        )
    last_used.note(source.pk, now_ms)
    return source


@receiver((post_save, post_delete), sender=Source, dispatch_uid="metrics.access.forget")
def _forget_changed(**_: object) -> None:
    forget()
    # Until the commit another thread may read, and cache, the row as it was.
    transaction.on_commit(forget)
