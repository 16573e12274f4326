"""Results as files, and the newest full one as tables in docs/benchmarks.md."""

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
    """Writes a result; quick and partial ones get names that git ignores."""
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
    """Puts the newest full result into the page; returns its name. Raises SystemExit."""
    newest = max(_full(), key=lambda found: found[1]["date"], default=None)
    if newest is None:
        raise SystemExit("There is no full result yet: run benchmarks/run.py first.")
    path, content = newest
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{as_markdown(content, path.name)}\n{END}{after}")
    return path.name


def _full() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in FOLDER.glob("*.json"):
        content = json.loads(path.read_text())
        if content["scale"] == "full" and "-only-" not in path.name:
            yield path, content


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
