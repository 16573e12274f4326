"""Which names and labels may come in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.names import LabelError, check_labels, check_metric, shown, unclean


@pytest.mark.parametrize(
    "name",
    ["", "7up", "a-b", "a b", "a.b", "é", "٣", "a\n", "a\x00", "\ud800", "x" * 201, "{}"],
)
def test_what_is_no_metric_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a metric name: expected letters"):
        check_metric(name)


@pytest.mark.parametrize(
    "name", ["a", "_", ":", "node_cpu_seconds_total", "job:x:rate5m", "A" * 200]
)
def test_a_metric_name_is_taken(name: str) -> None:
    check_metric(name)


@pytest.mark.parametrize(
    ("labels", "about", "reason"),
    [
        ({"a-b": "c"}, "a-b", "is not a label name"),
        ({"": "c"}, "", "is not a label name"),
        ({"a:b": "c"}, "a:b", "is not a label name"),
        ({"a\n": "c"}, "a\n", "is not a label name"),
        ({"__name__": "c"}, "__name__", "reserved"),
        ({"ok": "fine", "region": "\x00"}, "region", "control character U.0000"),
        ({"region": "a\x1b[31m"}, "region", "control character U.001B"),
        ({"region": "\x9b"}, "region", "control character U.009B"),
        ({"region": "\udc80"}, "region", "lone surrogate"),
        ({"region": "x" * 1025}, "region", "1025 characters long: expected at most 1024"),
        ({f"l{number}": "x" for number in range(31)}, "", "31 labels: expected at most 30"),
    ],
)
def test_a_label_that_cannot_be_taken_is_named(
    labels: dict[str, str], about: str, reason: str
) -> None:
    with pytest.raises(LabelError, match=reason) as refusal:
        check_labels(labels)
    assert refusal.value.name == about


def test_a_value_that_is_no_text_is_refused() -> None:
    wrong: Any = {"region": 3}
    with pytest.raises(LabelError, match="expected a string, got int"):
        check_labels(wrong)


@pytest.mark.parametrize("value", ["", "eu", 'say "hi"', "日本", "😀", "a\u2028b", "x" * 1024])
def test_any_other_text_is_a_labels_value(value: str) -> None:
    check_labels({"region": value})


@given(st.text(st.characters(exclude_categories=()), max_size=100))
def test_what_is_clean_can_be_stored_and_what_is_not_says_why(text: str) -> None:
    reason = unclean(text)
    if not reason:
        assert text.encode().decode() == text
        assert "\x00" not in text
    else:
        assert reason.startswith("holds ")


def test_line_breaks_are_for_long_texts_only() -> None:
    assert unclean("a\nb")
    assert not unclean("a\r\n\tb", lines=True)
    assert unclean("a\x00b", lines=True)


@given(st.text(st.characters(exclude_categories=()), max_size=100))
def test_what_an_error_shows_is_short_and_can_be_printed(text: str) -> None:
    quoted = shown(text)
    assert len(quoted) < 700
    assert quoted.isprintable()
    quoted.encode()
