"""Results as files, and the newest full ones as tables in docs/benchmarks.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT
from benchmarks.report import shown

FOLDER = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN = "<!-- results: begin (made by benchmarks/run.py --table; do not edit) -->"
END = "<!-- results: end -->"


def keep(content: dict[str, Any], only: Sequence[str] | None) -> Path:
    """Writes a result; quick ones get names that git ignores."""
    parts = [content["date"][:10], content["commit"]]
    if content["scale"] != "full":
        parts.append(content["scale"])
    if only:
        parts.append("only-" + "-".join(sorted(only)))
    path = FOLDER / ("-".join(parts) + ".json")
    FOLDER.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path.relative_to(ROOT)


def refresh_page() -> str:
    """Puts the newest full figures of each benchmark into the page; names the results' files.

    Raises SystemExit.
    """
    found = list(_newest())
    if not found:
        raise SystemExit("There is no full result yet: run benchmarks/run.py first.")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n".join(as_markdown(content, path.name) for path, content in found)
    PAGE.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}")
    return ", ".join(path.name for path, _ in found)


def _newest() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Results of the whole scale, newest first, each without what a newer one holds."""
    every = [(path, json.loads(path.read_text())) for path in FOLDER.glob("*.json")]
    full = [one for one in every if one[1]["scale"] == "full"]
    shown_already: set[str] = set()
    for path, content in sorted(full, key=lambda one: one[1]["date"], reverse=True):
        news = {k: v for k, v in content["benchmarks"].items() if k not in shown_already}
        shown_already |= news.keys()
        if news:
            yield path, {**content, "benchmarks": news}


def heading(content: dict[str, Any]) -> str:
    """Which code, when and where, in one sentence."""
    found = content["machine"]
    versions = ", ".join(f"{name} {said}" for name, said in found["versions"].items() if said)
    others_percent, sync_us = content["others_busy_percent"], found["disk_sync_us"]
    return (
        f"Commit {content['commit']}, {content['date']}. {found['cores']} cores of {found['cpu']}, "
        f"{found['memory_gib']} GiB, {found['system']}, {others_percent:g} % "
        f"busy with other things meanwhile; making 4 KiB durable takes {sync_us:g} us. "
        f"Python {found['python']}, SQLite {found['sqlite']}, {versions}."
    )


def as_markdown(content: dict[str, Any], source: str) -> str:
    """All figures of a result as tables."""
    lines = ["", f"From `benchmarks/results/{source}`. {heading(content)}"]
    for name, found in content["benchmarks"].items():
        lines += ["", f"### {name}: {found['title']}", "", "| | median | min | max | |"]
        lines.append("|---|---:|---:|---:|---|")
        for figure in found["figures"]:
            cells = " | ".join(shown(figure[part]) for part in ("median", "min", "max"))
            lines.append(f"| {figure['name']} | {cells} | {figure['unit']} |")
        lines += ["", *(f"- {sentence[0].upper()}{sentence[1:]}." for sentence in found["notes"])]
    return "\n".join(lines)
