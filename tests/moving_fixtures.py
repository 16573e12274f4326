"""A site with data, and new databases of either engine; named in a module's pytest_plugins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.moving_support import fill


@pytest.fixture
def site(store: str, django_db_blocker: Any) -> Iterator[str]:
    """A site with data, on SQLite and on PostgreSQL; its URL."""
    with django_db_blocker.unblock():  # also to databases that are no settings' DATABASES
        fill()
        yield store


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def new_url(request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a database that holds nothing."""
    if request.param == "sqlite":
        return f"sqlite://{folder}/new.sqlite3"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def other_url(site: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The same of the engine that the site does not run on."""
    if site.startswith("postgres"):
        return f"sqlite://{folder}/new.sqlite3"
    url: str = request.getfixturevalue("postgres_url")
    return url
