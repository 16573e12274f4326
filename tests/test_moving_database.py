"""manage.py move: the whole site into the other engine, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection

from dashboard.models import Dashboard
from metrics import intake
from metrics.models import Chunk, Metric, Series
from metrics.moving import databases, tables, transfer
from metrics.moving.trouble import CannotMove
from metrics.samples import Sample
from tests.moving_support import (
    NOW_MS,
    killed,
    on,
    refusal,
    run,
    sums,
    work_goes_on,
)

pytest_plugins = ["tests.moving_fixtures"]  # site, new_url, other_url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://host/name", "--to begins with 'mysql': expected postgresql://"),
        ("postgresql://me@127.0.0.1:1/nothing", "PostgreSQL nothing at 127.0.0.1 cannot be used"),
        ("sqlite:////no/such/folder/new.sqlite3", "cannot be used"),
    ],
)
def test_an_address_that_is_none_is_a_sentence(site: str, url: str, reason: str) -> None:
    assert reason in refusal("move", "--to", url)


def test_a_site_is_not_moved_onto_itself(site: str) -> None:
    assert "is the database in use already" in refusal("move", "--to", site)


def test_a_database_with_data_is_not_moved_into(site: str, other_url: str) -> None:
    with on(other_url):
        run("migrate", verbosity=0)
        User.objects.create_user("somebody")
        before = sums()
    assert "is not empty, it holds users" in refusal("move", "--to", other_url)
    with on(other_url):
        assert sums() == before


def test_a_database_of_something_else_is_not_moved_into(site: str, other_url: str) -> None:
    with on(other_url), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE recipes (id integer)")
    assert "tables of something else (recipes)" in refusal("move", "--to", other_url)


def test_everything_moves_to_either_engine(site: str, new_url: str) -> None:
    before = sums(tables.NOT_MOVED)
    series = Series.objects.count()
    said = run("move", "--to", new_url)
    assert "Start with DATABASE_URL set to it" in said
    assert sums(tables.NOT_MOVED) == before
    with on(new_url):
        assert sums(tables.NOT_MOVED) == before
        assert Dashboard.objects.count() == before["dashboard.Dashboard"].rows
        work_goes_on(series)


def test_a_copy_that_differs_is_not_kept(
    site: str, other_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write: Callable[..., None] = tables.write

    def and_lose_one(model: type, alias: str, rows: list[tables.Row]) -> None:
        write(model, alias, rows[1:] if model is Chunk else rows)

    monkeypatch.setattr(tables, "write", and_lose_one)
    assert "Table metrics_chunk was not copied right (1 rows" in refusal("move", "--to", other_url)
    with on(other_url):
        assert databases.holds_data("default") == ""
    monkeypatch.undo()
    run("move", "--to", other_url)  # what was left does not stand in the way


def test_a_move_that_is_killed_leaves_the_new_database_empty(
    site: str, other_url: str, folder: Path
) -> None:
    before = sums(tables.NOT_MOVED)
    killed(site, folder, "Copying rows", "move", "--to", other_url)
    assert sums(tables.NOT_MOVED) == before
    with on(other_url):
        assert databases.holds_data("default") == ""
    run("move", "--to", other_url)
    with on(other_url):
        assert sums(tables.NOT_MOVED) == before


def test_what_comes_meanwhile_stays_behind_and_that_is_said(
    site: str, other_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate = databases.migrate

    def and_publish(alias: str) -> None:
        migrate(alias)
        intake.accept([Sample("meanwhile", 1.0)], now_ms=NOW_MS)

    monkeypatch.setattr(databases, "migrate", and_publish)
    mine = databases.own_config()["NAME"]
    moved = transfer.move(config_of(other_url))
    assert moved.missed_batches == 1
    assert databases.own_config()["NAME"] == mine
    assert Metric.objects.filter(name="meanwhile").exists()
    with on(other_url):
        assert not Metric.objects.filter(name="meanwhile").exists()


def config_of(url: str) -> databases.Config:
    with on(url):
        return databases.own_config()


def test_a_table_that_is_behind_is_not_moved(
    site: str, other_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "is_up_to_date", lambda alias: False)
    with pytest.raises(CannotMove, match=r"run manage\.py migrate first"):
        transfer.move(config_of(other_url))
