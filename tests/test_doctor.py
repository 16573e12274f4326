"""`manage.py doctor`: what it finds, and what it says to do about it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db.migrations.executor import MigrationExecutor

from dashboard.doctor import machine, redis_server, site
from dashboard.doctor import store as store_module
from dashboard.doctor.finding import Finding, bytes_text
from dashboard.doctor.redis_server import Told
from dashboard.environment import own_names
from tests.support.environment import ROOT
from tests.support.product import Product
from tests.support.valkey import Valkey
from tests.support.waiting import DEADLINE_S
from tests.tls_support import make_pair

NewServer = Callable[..., Product]

NOW = datetime.now(UTC)


def doctor(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "doctor", *options],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def levels(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.level, one.subject) for one in findings]


def sole(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


# The machine


@pytest.mark.parametrize(
    ("soft", "hard", "level"),
    [(1024, 4096, "warn"), (1024, -1, "warn"), (10_200, 10_200, "ok"), (-1, -1, "ok")],
)
def test_too_few_open_files_for_the_sockets_are_named(soft: int, hard: int, level: str) -> None:
    found = sole(list(machine.file_descriptors(10_000, soft, hard)))
    assert found.level == level
    if level == "warn":
        assert "LimitNOFILE" in found.sentence
        assert "lower CONNECTIONS to 824" in found.sentence
        assert ("as root" in found.sentence) == (hard == 4096)


@pytest.mark.parametrize(("most", "level"), [("128", "warn"), ("4096", "ok")])
def test_a_short_queue_of_connections_is_named(folder: Path, most: str, level: str) -> None:
    (folder / "somaxconn").write_text(f"{most}\n")
    found = sole(list(machine.queue_of_connections(folder / "somaxconn")))
    assert found.level == level
    assert ("sysctl -w net.core.somaxconn=2048" in found.sentence) == (level == "warn")


def test_elsewhere_than_on_linux_there_is_no_such_queue(folder: Path) -> None:
    assert list(machine.queue_of_connections(folder / "nowhere")) == []


def test_a_data_folder_that_cannot_be_written_fails(folder: Path) -> None:
    assert sole(list(machine.data_folder(folder / "nowhere"))).level == "fail"
    assert sole(list(machine.data_folder(folder))).level == "ok"


@pytest.mark.parametrize(("free", "level"), [(63, "fail"), (100, "warn"), (256, "ok")])
def test_little_free_disk_is_told_before_publishing_is_refused(
    folder: Path, free: int, level: str
) -> None:
    mib = 1024 * 1024
    found = sole(list(machine.free_disk(folder, 64 * mib, free * mib)))
    assert found.level == level
    assert f"{free} MiB are free" in found.sentence


def test_old_and_missing_packages_fail() -> None:
    found = sole(list(machine.packages({"Django": "99", "no-such-package": "1", "redis": "1.0"})))
    assert found.level == "fail"
    assert re.search(r"Django [\d.]+ is older than 99; no-such-package is missing", found.sentence)
    assert sole(list(machine.packages())).level == "ok"


def test_the_least_versions_are_those_that_are_installed_from() -> None:
    asked = dict(re.findall(r"^([\w-]+)>=([\d.]+)", (ROOT / "requirements.in").read_text(), re.M))
    assert {name.lower(): least for name, least in machine.LEAST_VERSIONS.items()} == asked


def test_sizes_are_said_in_their_unit() -> None:
    assert [bytes_text(1024**n) for n in range(5)] == [
        "1 B", "1 KiB", "1 MiB", "1 GiB", "1 TiB",
    ]  # fmt: skip


# The database and Redis


def test_a_database_that_answers_is_ok(store: str) -> None:
    found = list(store_module.database(2))
    assert levels(found)[0] == ("ok", "database")
    if store.startswith("postgres"):  # the tests' own does not wait for the disk
        assert [one.sentence for one in found[1:]] == [
            "fsync=off, synchronous_commit=on: what was answered 'stored' may be lost. Set both to "
            "on."
        ]


def test_missing_migrations_fail(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda self, targets: [1, 2])
    found = next(store_module.database(1))
    assert (found.level, found.subject) == ("fail", "database")
    assert "2 migrations are missing: manage.py migrate" in found.sentence


def test_the_file_system_of_a_path_is_found(folder: Path) -> None:
    assert store_module.file_system(Path("/proc/self")) in ("proc", "")
    assert store_module.file_system(folder) not in store_module.NETWORK_FILE_SYSTEMS


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (Told("5.0.7"), ["fail"]),
        (Told("7.2.4"), ["ok"]),
        (Told("8.1.0", "noeviction", "normal 0 0 0 pubsub 33554432 8388608 60"), ["ok"]),
        (Told("8.1.0", "allkeys-lru"), ["ok", "warn"]),
        (Told("8.1.0", "noeviction", "pubsub 1048576 524288 60"), ["ok", "warn"]),
        (Told("8.1.0", "noeviction", "pubsub 0 0 0"), ["ok"]),
    ],
)
def test_what_a_redis_says_of_itself_is_judged(told: Told, expected: list[str]) -> None:
    assert [one.level for one in redis_server.judge(told)] == expected


def test_a_real_redis_is_asked(valkey: Valkey, folder: Path) -> None:
    done = doctor(folder, REDIS_URL=valkey.url)
    assert re.search(r"^ok    Redis: version [\d.]+ answers\.$", done.stdout, re.MULTILINE)


# The site


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [("ok", "proxy")]),
        ({"TRUSTED_PROXIES": "*"}, [("fail", "TRUSTED_PROXIES")]),
        ({"TRUSTED_PROXIES": "10.0.0.0/24,proxy"}, [("fail", "TRUSTED_PROXIES")]),
        (
            {"BEHIND_TLS_PROXY": True, "HTTPS": True, "TRUSTED_PROXIES": ""},
            [("warn", "TRUSTED_PROXIES"), ("warn", "ALLOWED_HOSTS")],
        ),
        (
            {"BEHIND_TLS_PROXY": True, "HTTPS": True, "ALLOWED_HOSTS": ["metrics.example.org"]},
            [("ok", "proxy")],
        ),
        ({"ORIGINS": ["https://metrics.example.org"]}, [("warn", "BEHIND_TLS_PROXY")]),
        ({"HOST": "0.0.0.0"}, [("warn", "HOST")]),
        ({"HOST": "0.0.0.0", "HTTPS": True}, [("ok", "proxy")]),
    ],
)
def test_settings_for_a_proxy_that_do_not_fit_are_named(
    settings: dict[str, object], expected: list[tuple[str, str]]
) -> None:
    plain: dict[str, object] = {
        "HOST": "127.0.0.1",
        "ALLOWED_HOSTS": own_names("127.0.0.1"),
        "ORIGINS": [],
        "BEHIND_TLS_PROXY": False,
        "TRUSTED_PROXIES": "127.0.0.1",
        "HTTPS": False,
    }
    assert levels(list(site.proxies(SimpleNamespace(**{**plain, **settings})))) == expected


def test_a_secret_key_that_others_can_read_fails(folder: Path) -> None:
    path = folder / "secret_key"
    path.touch(mode=0o600)
    assert sole(list(site.secret_key(folder, "x" * 50))).level == "ok"
    path.chmod(0o644)
    found = sole(list(site.secret_key(folder, "x" * 50)))
    assert (found.level, "chmod 600" in found.sentence) == ("fail", True)
    assert sole(list(site.secret_key(folder, "short"))).level == "fail"


@pytest.mark.parametrize(("days", "level"), [(-1, "fail"), (5, "warn"), (60, "ok")])
def test_a_certificate_that_ends_soon_is_named(folder: Path, days: int, level: str) -> None:
    pair = make_pair(folder)
    later = NOW + timedelta(days=90 - days)
    assert sole(list(site.certificate(pair.cert, pair.key, later))).level == level


def test_a_certificate_that_cannot_be_used_fails_and_none_says_nothing(folder: Path) -> None:
    assert sole(list(site.certificate(folder / "nowhere", None, NOW))).level == "fail"
    assert list(site.certificate(None, None, NOW)) == []


# The command


def test_beside_a_running_server_nothing_fails(new_server: NewServer, folder: Path) -> None:
    product = new_server({"DATABASE_URL": f"sqlite://{folder / 'own.sqlite3'}"})
    done = product.run("doctor")
    assert done.returncode == 0, done.stdout
    assert f"ok    server: {product.base_url} (process" in done.stdout
    assert all(re.match(r"(ok|warn)\s+\S[^:]*: .*\.$", line) for line in done.stdout.splitlines())
    quiet = product.run("doctor", "--quiet")
    assert "ok " not in quiet.stdout


def test_what_fails_is_told_by_the_exit_code(folder: Path) -> None:
    done = doctor(folder, "--quiet", DEBUG="1", DATABASE_URL="postgresql://x@127.0.0.1:1/none")
    assert done.returncode == 1
    assert "fail  DEBUG: it shows stack traces" in done.stdout
    assert "fail  database: none does not answer" in done.stdout
    assert done.stderr == ""


def test_it_makes_no_database(folder: Path) -> None:
    done = doctor(folder)
    assert "is not there yet: manage.py serve makes it." in done.stdout
    assert not list(folder.glob("*.sqlite3"))


def test_its_help_teaches(folder: Path) -> None:
    text = doctor(folder, "--help").stdout
    assert "Every warn and fail ends with what to do." in text
    assert "manage.py doctor --quiet" in text
