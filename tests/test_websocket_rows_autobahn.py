"""The run of Autobahn|Testsuite: a case or a suite that failed is never taken for success."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import autobahn

OK = {"behavior": "OK", "behaviorClose": "OK"}
SUITE = """#!{python}
import json, pathlib, socket, sys
spec = json.loads(pathlib.Path(sys.argv[4]).read_text())
host, port = spec["servers"][0]["url"].removeprefix("ws://").split(":")
socket.create_connection((host, int(port))).close()
report = pathlib.Path(spec["outdir"])
report.mkdir()
(report / "index.json").write_text({index!r})
"""


def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cases: dict[str, dict[str, str]], *more: str
) -> int:
    """The exit code after a suite that judges the cases so."""
    suite = folder / "wstest"
    suite.write_text(SUITE.format(python=sys.executable, index=json.dumps({autobahn.AGENT: cases})))
    suite.chmod(0o700)
    monkeypatch.setattr(sys, "argv", ["autobahn", "--wstest", str(suite), *more])
    return autobahn.main()


@pytest.mark.parametrize(
    "bad",
    [
        {"behavior": "FAILED", "behaviorClose": "OK"},
        {"behavior": "OK", "behaviorClose": "FAILED"},
        {"behavior": "OK", "behaviorClose": "WRONG CODE"},
        {"behavior": "OK", "behaviorClose": "UNCLEAN"},
        {"behavior": "UNIMPLEMENTED", "behaviorClose": "OK"},
    ],
)
def test_one_case_that_failed_fails_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, bad: dict[str, str]
) -> None:
    assert run(folder, monkeypatch, {"1.1.1": OK, "7.1.5": bad}) == 1
    printed = capsys.readouterr().out
    assert "| 7 | 0 | 0 | 0 | 1 |" in printed and "7.1.5: " in printed


def test_no_case_is_no_success(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(folder, monkeypatch, {}) == 2


def test_a_suite_that_cannot_run_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for program in ("no-such-program", "false"):
        monkeypatch.setattr(sys, "argv", ["autobahn", "--wstest", program])
        assert autobahn.main() == 2
        assert "docs/autobahn.md" in capsys.readouterr().err


def test_cases_that_are_ok_or_allowed_are_counted_by_group(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    loose = {"behavior": "NON-STRICT", "behaviorClose": "OK"}
    told = {"behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL"}
    cases = {"10.1.1": OK, "3.2": loose, "3.3": OK, "7.1.6": told}
    verdicts = folder / "verdicts.json"
    assert run(folder, monkeypatch, cases, "--json", str(verdicts)) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert rows[:4] == [
        "| 3 | 1 | 1 | 0 | 0 |",
        "| 7 | 0 | 0 | 1 | 0 |",
        "| 10 | 1 | 0 | 0 | 0 |",
        "| all | 2 | 1 | 1 | 0 |",
    ]
    assert list(json.loads(verdicts.read_text())) == ["3.2", "3.3", "7.1.6", "10.1.1"]
