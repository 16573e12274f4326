"""docs/websocket.md names tests in every row, or says there are none yet; those named exist."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.environment import ROOT

PAGE = (ROOT / "docs" / "websocket.md").read_text(encoding="utf-8")
ROWS = [
    cells
    for line in PAGE.splitlines()
    if len(cells := [cell.strip() for cell in line.strip("|").split(" | ")]) == 3
    and not line.startswith(("|---", "| Part |", "| What |"))
]
PYTHON = re.compile(r"`(test_\w+\.py)::(\w+)`")
JAVASCRIPT = re.compile(r"`([\w-]+\.test\.js): ([^`]+)`")
HONEST = re.compile(r"\b(in progress|not yet)\b")


def named(row: list[str]) -> str:
    return row[0].strip("| ")


def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_the_rows_are_found() -> None:
    assert len(ROWS) >= 45


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_row_names_tests_that_exist_or_says_that_it_has_none(row: list[str]) -> None:
    tests = row[2]
    python, javascript = PYTHON.findall(tests), JAVASCRIPT.findall(tests)
    assert python or javascript or HONEST.search(tests)
    for file, name in python:
        assert name in functions(file), f"{file} has no {name}"
    for file, title in javascript:
        text = (ROOT / "tests" / "js" / file).read_text(encoding="utf-8")
        assert title in text, f"{file} has no test of that title: {title}"
    assert len(re.findall(r"test_\w+\.py::|\.test\.js:", tests)) == len(python) + len(javascript)
