"""The admin as its tests use it: somebody who may, addresses, and the text of a page."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse


def as_staff(client: Client) -> Client:
    """The client, signed in as a new superuser `root`."""
    client.force_login(User.objects.create_superuser("root"))
    return client


def url(model: type[Model], page: str, *args: object) -> str:
    return reverse(
        f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args or None
    )


def text(response: Any) -> str:
    assert response.status_code == 200, response
    content: str = response.content.decode()
    return content
