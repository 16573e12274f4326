"""manage.py backup, restore and move: nothing is lost, nothing is overwritten unasked."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.utils import timezone

from dashboard.models import SigninLink
from metrics import catalog, intake
from metrics.models import Batch, Chunk, Lease, Metric, Series
from metrics.moving import backup, backup_file, databases
from metrics.moving.progress import Progress
from metrics.samples import Sample
from tests.moving_support import (
    NOW_MS,
    killed,
    log_samples,
    on,
    refusal,
    run,
    sums,
    work_goes_on,
)

pytest_plugins = ["tests.moving_fixtures"]  # site, new_url, other_url

# Backup


def test_a_backup_does_not_overwrite_a_file(site: str, folder: Path) -> None:
    path = folder / "mine"
    path.write_text("precious")
    assert "exists: choose another name, or say --replace" in refusal("backup", path)
    assert path.read_text() == "precious"
    run("backup", path, "--replace")
    assert run("backup", path, "--verify-only").startswith(f"Verified {path}: ")


def test_a_folder_that_is_not_there_is_a_sentence(site: str, folder: Path) -> None:
    assert "cannot be written: No such file" in refusal("backup", folder / "no" / "backup")


def test_a_backup_is_whole_or_not_there(
    site: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(backup_file, "describe", broken)
    assert "disk is full" in refusal("backup", folder / "backup")
    assert list(folder.iterdir()) == []


def test_a_backup_holds_everything_but_what_signs_in(site: str, folder: Path) -> None:
    client = Client()
    client.force_login(User.objects.get())
    SigninLink.objects.create(
        user=User.objects.get(), secret_hash="a" * 64, expires_at=timezone.now()
    )
    key = Session.objects.get().session_key
    path = folder / "backup"
    said = run("backup", path, "--verify")
    assert "every sample can be read" in said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in folder.iterdir()] == ["backup"]
    content = path.read_bytes()
    assert key.encode() not in content  # not in a freed page either
    assert b"a" * 64 not in content
    with closing(backup_file.open_to_read(path)) as file:
        assert file.execute("SELECT count(*) FROM metrics_chunk").fetchone() == (2,)
        assert file.execute("SELECT username FROM auth_user").fetchone() == ("ann",)
    assert Session.objects.count() == 1  # the site itself keeps its own


def test_a_backup_is_of_one_moment_while_publishing_goes_on(
    site: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something is published after each row or page that is copied."""
    before = log_samples()
    reach = Progress.reach
    published = 0

    def and_publish(self: Progress, done: int) -> None:
        nonlocal published
        reach(self, done)
        if published < 5 and databases.own_config()["NAME"]:
            published += 1
            intake.accept([Sample("meanwhile", 1.0)], now_ms=NOW_MS + published)

    monkeypatch.setattr(Progress, "reach", and_publish)
    monkeypatch.setattr(backup, "PAGES_AT_ONCE", 10)
    run("backup", folder / "backup")
    monkeypatch.undo()
    assert published == 5
    assert log_samples() == before + 5
    with on(f"sqlite://{folder}/backup"):
        assert log_samples() == before
        assert not Metric.objects.filter(name="meanwhile").exists()


def test_a_backup_that_is_killed_leaves_nothing_that_looks_like_one(
    site: str, folder: Path
) -> None:
    path = folder / "backup"
    during = "Copying pages" if site.startswith("sqlite") else "Copying rows"
    killed(site, folder, during, "backup", path)
    assert not path.exists()
    run("backup", path, "--verify")  # what was left does not stand in the way
    assert [one.name for one in folder.iterdir()] == ["backup"]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE auth_user SET email = 'other@example.org'", "table auth_user is not as it was"),
        ("DELETE FROM metrics_chunk WHERE resolution_ms = 0", "table metrics_chunk is not"),
        ("DROP TABLE metrics_total", "has not the tables it says"),
        ("DROP TABLE pulseboard_backup", "is no backup"),
        ("UPDATE pulseboard_backup SET manifest = '{}'", "is no backup"),
    ],
)
def test_a_damaged_backup_is_found_and_not_restored(
    site: str, folder: Path, damage: str, found: str
) -> None:
    path = folder / "backup"
    run("backup", path)
    with closing(sqlite3.connect(path)) as file:
        file.execute(damage)
        file.commit()
    assert found in refusal("backup", path, "--verify-only")
    before = sums(set())
    assert found in refusal("restore", path, "--replace")
    assert sums(set()) == before


def test_a_file_that_is_torn_is_found(site: str, folder: Path) -> None:
    path = folder / "backup"
    run("backup", path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert refusal("backup", path, "--verify-only")
    path.write_bytes(b"not a database at all" * 500)
    assert "is no backup" in refusal("backup", path, "--verify-only")


def test_a_payload_that_cannot_be_read_is_found(site: str, folder: Path) -> None:
    """It was damaged before the backup, so the checksums agree."""
    Chunk.objects.filter(resolution_ms=0).update(data=b"\x09nonsense")
    path = folder / "backup"
    assert "of metrics_chunk cannot be read: payload version 9" in refusal(
        "backup", path, "--verify"
    )
    batch = Batch.objects.order_by("id")[0]
    Chunk.objects.all().delete()
    Batch.objects.filter(pk=batch.pk).update(count=77)
    assert "it says 77" in refusal("backup", path, "--verify", "--replace")


# Restore


def test_nothing_is_overwritten_unless_replace_says_so(site: str, folder: Path) -> None:
    path = folder / "backup"
    run("backup", path)
    intake.accept([Sample("later", 1.0)], now_ms=NOW_MS)
    assert "would be overwritten" in refusal("restore", path)
    assert Metric.objects.filter(name="later").exists()
    run("restore", path, "--replace")
    assert not Metric.objects.filter(name="later").exists()
    assert "later" not in catalog.metrics()


def test_a_database_somebody_works_on_is_left_alone(site: str, folder: Path) -> None:
    path = folder / "backup"
    run("backup", path)
    Lease.objects.create(name="keeper", holder="host:1", expires_at_ms=1 << 50)
    assert "A Pulseboard works on this database (host:1)" in refusal("restore", path, "--replace")


def test_a_restore_that_is_killed_changes_nothing(site: str, folder: Path) -> None:
    path = folder / "backup"
    run("backup", path)
    intake.accept([Sample("later", 1.0)], now_ms=NOW_MS)
    before = sums(set())
    during = "Restoring pages" if site.startswith("sqlite") else "Copying rows"
    killed(site, folder, during, "restore", path, "--replace")
    assert sums(set()) == before
    run("restore", path, "--replace")
    assert not Metric.objects.filter(name="later").exists()


def test_a_file_that_is_not_there_cannot_be_restored(site: str, folder: Path) -> None:
    assert "is not there" in refusal("restore", folder / "nothing", "--replace")


def test_a_backup_of_a_later_version_is_refused(site: str, folder: Path) -> None:
    path = folder / "backup"
    run("backup", path)
    with closing(sqlite3.connect(path)) as file:
        file.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('metrics', '0999_x', 'now')"
        )
        file.commit()
    assert "probably later, version of Pulseboard (metrics.0999_x" in refusal("restore", path)


def test_what_was_backed_up_comes_back_in_either_engine(
    site: str, new_url: str, folder: Path
) -> None:
    path = folder / "backup"
    run("backup", path)
    before = sums()
    series = {row.pk: str(row) for row in Series.objects.all()}
    assert before["metrics.Batch"].rows == 4
    with on(new_url):
        assert "Restored" in run("restore", path)
        assert sums() == before
        assert {row.pk: str(row) for row in Series.objects.all()} == series
        assert not connection.introspection.table_names() or (
            backup_file.MANIFEST not in connection.introspection.table_names()
        )
        work_goes_on(len(series))


def test_an_id_is_not_given_again(site: str, other_url: str, folder: Path) -> None:
    intake.accept([Sample("short_lived", 1.0)], now_ms=NOW_MS)
    gone = Series.objects.get(metric__name="short_lived").pk
    Metric.objects.filter(name="short_lived").delete()
    run("backup", folder / "backup")
    with on(other_url):
        run("restore", folder / "backup")
        catalog.forget()
        intake.accept([Sample("next", 1.0)], now_ms=NOW_MS)
        assert Series.objects.get(metric__name="next").pk > gone


def test_an_older_backup_is_brought_up_to_date(site: str, other_url: str, folder: Path) -> None:
    """As if the backup was made before the migration that brought chunks."""
    path = folder / "backup"
    run("backup", path)
    before = sums()
    with on(f"sqlite://{path}"):
        run("migrate", "metrics", "0001")  # takes the chunks away
        connection.close()
    with closing(backup_file.open_to_write(path)) as file:
        backup_file.describe(file, "sqlite", NOW_MS, Progress(None, "", 0))
    with on(other_url):
        run("restore", path)
        after = sums()
    assert after.pop("metrics.Chunk").rows == 0
    assert {label for label in after if after[label] != before[label]} <= {
        "auth.Permission",
        "contenttypes.ContentType",
        "metrics.Batch",
        "metrics.Metric",
    }
    assert after["metrics.Batch"].rows == before["metrics.Batch"].rows
