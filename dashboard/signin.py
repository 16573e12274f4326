"""Signing in without a password: the first admin, and links that work once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from dashboard.models import SigninLink

FIRST_ADMIN = "admin"
LINK_LIFETIME = timedelta(hours=24)


def ensure_first_admin() -> User:
    """The oldest active superuser; made, without a password, when there is none."""
    users = User.objects
    admin = users.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if admin is not None:
        return admin
    with transaction.atomic():
        name = FIRST_ADMIN
        while users.filter(username=name).exists():  # somebody's name, or a disabled admin
            name = f"{FIRST_ADMIN}-{secrets.token_hex(2)}"
        return users.create_superuser(username=name, email="", password=None)


def make_link(user: User) -> str:
    """The secret of a new link that signs `user` in once; old links are swept out."""
    secret = secrets.token_urlsafe(32)
    now = timezone.now()
    SigninLink.objects.filter(expires_at__lte=now).delete()
    SigninLink.objects.create(user=user, secret_hash=_hash(secret), expires_at=now + LINK_LIFETIME)
    return secret


def use_link(secret: str, now: datetime) -> User | None:
    """Whom the link signs in; None when it does not exist, was used, or has expired.

    One conditional UPDATE decides: of two that come at the same time one wins. It has no join:
    Django would move all conditions into a subquery, and PostgreSQL does not look at that again
    once it has waited for the other.
    """
    links = SigninLink.objects.filter(secret_hash=_hash(secret))
    active = User.objects.filter(is_active=True)
    fresh = links.filter(used_at=None, expires_at__gt=now, user__in=active)
    if fresh.update(used_at=now) != 1:
        return None
    return links.select_related("user").get().user


def drop_links(user: User) -> None:
    """Ends the links of `user` that nobody used: a password was set."""
    SigninLink.objects.filter(user=user, used_at=None).delete()


def link_path(secret: str) -> str:
    """Where a link leads, from the root of the site."""
    return f"/signin/{secret}/"


def link_for_start(base_url: str) -> str:
    """What `serve` prints: the site's address; until the first admin has a password, with a
    link that signs them in once."""
    base_url = base_url.rstrip("/")
    admin = ensure_first_admin()
    if admin.has_usable_password():
        return f"{base_url}/"
    return base_url + link_path(make_link(admin))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
