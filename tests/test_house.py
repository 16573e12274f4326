"""The rules of the house, checked rather than remembered."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.environment import ROOT

LONGEST_FILE_LINES = 340  # about 300
OWN = {"metrics", "dashboard", "tests", "benchmarks", "scripts", "manage"}
GENERATED = {"static/js/protocol.js"}
READS_ENVIRONMENT = {"dashboard/settings.py", "dashboard/environment.py", "dashboard/asgi.py"}
BROWSER_FIXTURES = {"chromium": "Browser", "context": "BrowserContext", "page": "Page"}
WAITS = {"tests/support/waiting.py", "tests/support/traffic.py"}
INLINE_CODE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", re.IGNORECASE)
SECRET_IN_QUERY = re.compile(r"[?&](token|secret|password|api_?key)=", re.IGNORECASE)


def files(*patterns: str) -> list[Path]:
    """The files of the repository that somebody wrote by hand."""
    found = (path for pattern in patterns for path in ROOT.glob(pattern))
    return sorted(path for path in found if "migrations" not in path.parts and path.is_file())


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


PRODUCT = files("manage.py", "metrics/**/*.py", "dashboard/**/*.py")
PYTHON = [*PRODUCT, *files("tests/**/*.py", "benchmarks/**/*.py", "scripts/*.py")]
BROWSER = files("static/js/**/*.js", "static/css/*.css", "tests/js/*.js")
TEMPLATES = files("templates/**/*.html")

each_file = pytest.mark.parametrize("path", [*PYTHON, *BROWSER], ids=name_of)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[str]:
    """The absolute names of all modules that a file imports, wherever in it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def dotted(node: ast.AST) -> str:
    """`time.sleep` for the expression that reads so; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def pinned(*names: str) -> set[str]:
    """The packages that requirement files name, in the spelling of the index."""
    lines = [line for name in names for line in (ROOT / name).read_text().splitlines()]
    found = (re.match(r"[A-Za-z0-9][\w.-]*", line) for line in lines)
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match}


def not_pinned(paths: list[Path], packages: set[str]) -> set[str]:
    """`file: module` for each import that comes neither from Python, nor us, nor `packages`."""
    distributions = packages_distributions()
    missing = set()
    for path in paths:
        for top in {module.split(".")[0] for module in imports(path)}:
            if top in sys.stdlib_module_names or top in OWN:
                continue
            providers = {
                re.sub(r"[-_.]+", "-", name).lower() for name in distributions.get(top, [])
            }
            if not providers & packages:
                missing.add(f"{name_of(path)}: {top}")
    return missing


def test_metrics_never_imports_dashboard() -> None:
    guilty = [
        f"{name_of(path)}: {module}"
        for path in files("metrics/**/*.py")
        for module in imports(path)
        if module.split(".")[0] == "dashboard"
    ]
    assert not guilty


def test_metrics_knows_no_socket() -> None:
    guilty = [
        f"{name_of(path)}: {module}"
        for path in files("metrics/**/*.py")
        for module in imports(path)
        if module.split(".")[0] in {"uvicorn", "daphne", "websockets"}
        or module.startswith("channels.generic")
    ]
    assert not guilty


@each_file
def test_a_file_is_one_responsibility_and_no_longer(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST_FILE_LINES or name_of(path) in GENERATED


@pytest.mark.parametrize("path", [*PRODUCT, *BROWSER, *TEMPLATES], ids=name_of)
def test_no_secret_travels_in_the_query_of_an_address(path: Path) -> None:
    assert not SECRET_IN_QUERY.search(path.read_text(encoding="utf-8"))


def test_what_the_product_imports_is_pinned() -> None:
    assert not not_pinned(PRODUCT, pinned("requirements.in"))


def test_what_the_tests_import_is_pinned() -> None:
    assert not not_pinned(PYTHON, pinned("requirements.in", "requirements-dev.in"))


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_the_pins_cover_what_was_asked_for(name: str) -> None:
    assert pinned(f"{name}.in") <= pinned(f"{name}.txt")


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_the_pins_say_nothing_of_the_machine_that_made_them(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.findall(r"https?://|file:|^--|(?<![\w.-])/\w+", text, re.MULTILINE)


def test_only_the_settings_read_the_environment() -> None:
    guilty = [
        name_of(path)
        for path in files("metrics/**/*.py", "dashboard/**/*.py")
        if name_of(path) not in READS_ENVIRONMENT
        and any(dotted(node) in {"os.environ", "os.getenv"} for node in ast.walk(tree(path)))
    ]
    assert not guilty


def test_tests_wait_for_conditions_and_never_for_time() -> None:
    guilty = [
        f"{name_of(path)}:{node.lineno}"
        for path in files("tests/**/*.py")
        if name_of(path) not in WAITS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and re.search(r"(time|asyncio)\.sleep$|wait_for_timeout$", dotted(node.func))
        and not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)
    ]
    assert not guilty


def test_browser_tests_are_where_make_test_looks_for_them() -> None:
    """It reads no other file for them: reading all takes each process some seconds."""
    named = re.search(
        r'^with_browser="(.+)"$', (ROOT / "scripts/test.sh").read_text(), re.MULTILINE
    )
    assert named
    looked_at = set(files(*named[1].split()))
    guilty = {
        name_of(path)
        for path in files("tests/test_*.py")
        if path not in looked_at
        for node in ast.walk(tree(path))
        if isinstance(node, ast.arg) and node.annotation
        if BROWSER_FIXTURES.get(node.arg) == ast.unparse(node.annotation)
    }
    assert not guilty


def test_pages_hold_no_code_of_their_own() -> None:
    """The content security policy would refuse it; `json_script` is data."""
    guilty = [
        f"{name_of(path)}: {match[0]}"
        for path in TEMPLATES
        for match in INLINE_CODE.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not guilty
