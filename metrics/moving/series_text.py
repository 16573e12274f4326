"""A series as text, as Prometheus writes it: `name{label="value"}`; pure."""

from __future__ import annotations

import re

from metrics.names import METRIC_NAME, LabelError, check_labels, check_metric, shown

_PAIR = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|(?=\}))', re.ASCII)
_ESCAPED = re.compile(r"\\(.)")
_MEANT = {"n": "\n", '"': '"', "\\": "\\"}


def read_series(text: str, at: int = 0) -> tuple[str, dict[str, str], int]:
    """The metric and labels that begin at `at`, and where they end.

    Only reads: names and values are not checked. Raises ValueError with a sentence.
    """
    name = METRIC_NAME.match(text, at)
    if name is None:
        hint = " (names in quotes are not supported)" if text[at : at + 1] in "{\"'" else ""
        raise ValueError(f"{shown(text[at : at + 30])} does not begin with a metric's name{hint}")
    at = name.end()
    if text[at : at + 1] != "{":
        return name[0], {}, at
    at += 1
    labels: dict[str, str] = {}
    while pair := _PAIR.match(text, at):
        if pair[1] in labels:
            raise ValueError(f"the label {pair[1]} is given twice")
        labels[pair[1]] = _plain(pair[2])
        at = pair.end()
    rest = len(text[at:]) - len(text[at:].lstrip())
    if text[at + rest : at + rest + 1] != "}":
        raise ValueError(
            f'{shown(text[at : at + 30])} is not a label: expected such as region="eu"'
        )
    return name[0], labels, at + rest + 1


def checked(metric: str, labels: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The same without empty labels. Raises ValueError when a name or value cannot be taken."""
    check_metric(metric)
    kept = {name: value for name, value in labels.items() if value}
    try:
        check_labels(kept)
    except LabelError as error:
        where = f"label {shown(error.name)}: " if error.name else ""
        raise ValueError(f"{where}{error}") from None
    return metric, kept


def _plain(value: str) -> str:
    if "\\" not in value:
        return value
    return _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[0]), value)
