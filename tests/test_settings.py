"""Settings: documented, and wrong values stop the start with a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from dashboard.environment import Environment, own_names

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"PORT": "http"},
            "PORT='http' is not understood: expected a whole number from 0 to 65535",
        ),
        ({"PORT": "70000"}, "expected a whole number from 0 to 65535"),
        ({"PORT": "-1"}, "expected a whole number from 0 to 65535"),
    ],
)
def test_a_wrong_number_is_named(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(sentence)):
        Environment(variables).number("PORT", 8000, 0, 65535)


def test_a_wrong_flag_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match="DEBUG='maybe'"):
        Environment({"DEBUG": "maybe"}).flag("DEBUG", False)


@pytest.mark.parametrize("wrong", ["example.org", "ftp://x", "https://x/path", "https://"])
def test_an_origin_needs_scheme_and_host_and_nothing_else(wrong: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="is not an origin"):
        Environment({"ORIGINS": wrong}).origins("ORIGINS")


def test_an_unknown_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL begins with 'mysql'"):
        Environment({"DATABASE_URL": "mysql://u@h/d"}).database("DATABASE_URL", tmp_path)


def test_a_postgresql_url_is_taken_apart(tmp_path: Path) -> None:
    url = "postgresql://ann:p%40ss@db.example.org:5433/board?sslmode=require"
    found = Environment({"DATABASE_URL": url}).database("DATABASE_URL", tmp_path)
    assert (found["USER"], found["PASSWORD"], found["NAME"]) == ("ann", "p@ss", "board")
    assert (found["HOST"], found["PORT"]) == ("db.example.org", "5433")
    assert found["OPTIONS"] == {"sslmode": "require"}


def test_sqlite_commits_survive_a_power_cut(tmp_path: Path) -> None:
    found = Environment({}).database("DATABASE_URL", tmp_path)
    assert "synchronous=FULL" in found["OPTIONS"]["init_command"]


def test_the_machines_own_addresses_may_be_used_when_it_listens_on_all() -> None:
    assert "127.0.0.1" in own_names("0.0.0.0")
    assert own_names("metrics.example.org")[-1] == "metrics.example.org"


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    code = (ROOT / "dashboard/settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'env\.\w+\(\s*"(\w+)"', code))
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert read == documented


def test_documented_defaults_are_the_real_ones() -> None:
    code = (ROOT / "dashboard/settings.py").read_text(encoding="utf-8")
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    for name, default in re.findall(r'env\.number\(\s*"(\w+)", ([\d_ *]+),', code):
        value = 1
        for factor in default.split("*"):
            value *= int(factor)
        assert f"| `{name}` | `{value}` |" in page
