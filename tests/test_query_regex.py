"""Label regexes: RE2's meaning, and time linear in the text."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.query import ExpressionError
from metrics.query.automaton import MAX_PATTERN_CHARS, compiled


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "a `(` is not closed"),
        ("a)", "`)` has no `(` before it"),
        ("[a", "it ends too early"),
        ("*a", "`*` has nothing before it to repeat"),
        ("a**", "two repetitions follow each other"),
        ("a{2,1}", "`{2,1}` is not a count"),
        ("a{1001}", "`{1001}` is not a count"),
        ("(?=a)", "looking ahead or behind is not part of RE2"),
        ("(?<=a)b", "looking ahead or behind"),
        (r"(a)\1", r"`\1` is not supported"),
        (r"\bword", r"`\b` is not supported"),
        (r"\pL", r"`\p` is not supported"),
        (r"\x{110000}", "is not a character"),
        ("[z-a]", "does not run from a lower to a higher"),
        ("[[:letters:]]", "there is no class `[:letters:]`"),
        ("(?x:a)", "the flags `x` of a group are not known"),
        ("(?>a)", "`:` is missing"),
        ("(?m)^a", "the flag `m` is not supported"),
        ("((((a{9}){9}){9}){9})", "too large"),
        ("((((){1000}){1000}){1000}){1000}", "too large"),
        ("(" * 60 + "a" + ")" * 60, "nested deeper"),
        ("a.*" * MAX_PATTERN_CHARS, "is too long"),
    ],
)
def test_a_regex_that_cannot_be_used_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        compiled(pattern)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "(a|b|ab)*c", "(.*)*x", ".*a.*a.*a.*a.*a.*b"]
)
def test_a_pattern_that_ruins_backtracking_takes_no_time(pattern: str) -> None:
    began = time.perf_counter()
    assert not compiled(pattern)("a" * 2000)
    assert time.perf_counter() - began < 2


def test_a_long_list_of_words_is_taken() -> None:
    words = [f"host-{number}" for number in range(2000)]
    matches = compiled("|".join(words))
    assert all(matches(word) for word in words)
    assert not matches("host-2000")


@pytest.mark.parametrize(
    ("pattern", "texts", "others"),
    [
        ("", [""], ["a"]),
        ("a|", ["a", ""], ["b"]),
        ("a.c", ["abc", "a\nc"], ["ac", "abcd"]),
        ("(?-s)a.c", ["abc"], ["a\nc"]),
        ("^a$", ["a"], ["b", "ab"]),
        ("a^b|c$d", [], ["ab", "cd"]),
        ("$^", [""], ["a"]),
        (r"\Aa\z", ["a"], ["aa"]),
        ("(?i)web-É", ["WEB-é", "web-É"], ["web-e"]),
        ("(?i)K", ["k", "K", "\u212a"], ["x"]),
        ("(?i:PRO).*", ["production", "PROd"], ["pr"]),
        ("((?i)A)b", ["ab", "Ab"], ["aB"]),
        ("(?i)[a-c]+", ["aBC"], ["d"]),
        ("[^a]", ["b", "\n"], ["a", ""]),
        ("[]a]+", ["]a"], ["b"]),
        ("[a-]", ["a", "-"], ["b"]),
        (r"[\d_-]+", ["1_-"], ["a"]),
        ("[[:alpha:]]+[[:^alpha:]]", ["ab1"], ["abc"]),
        (r"\d\D\w\W\s\S", ["1aa. b"], ["aaa. b"]),
        (r"\x41\x{1F600}\.\t", ["A\U0001f600.\t"], ["A"]),
        ("a{2}b{1,}c{0,2}", ["aab", "aabbcc"], ["ab", "aabccc"]),
        ("a{,2}", ["a{,2}"], ["", "a"]),
        ("a{b}", ["a{b}"], ["a"]),
        ("a+?b*?c??", ["a", "aabbc"], ["b"]),
        ("(?P<first>a)(?<second>b)(?:c)", ["abc"], ["ab"]),
        ("(a*)*b", ["b", "aab"], ["a"]),
        ("(|a)+", ["", "aaa"], ["b"]),
    ],
)
def test_a_pattern_means_what_re2_says(pattern: str, texts: list[str], others: list[str]) -> None:
    matches = compiled(pattern)
    assert [text for text in texts if not matches(text)] == []
    assert [text for text in others if matches(text)] == []


PATTERNS = st.recursive(
    st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", "\\w", "", "^", "$"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(PATTERNS, st.lists(st.text(alphabet="abc-\n", max_size=6), min_size=1, max_size=6))
def test_simple_patterns_agree_with_pythons_re(pattern: str, texts: list[str]) -> None:
    # Python's $ also matches before a final newline; RE2's does not.
    theirs = re.compile(pattern.replace("$", "\\Z"), re.DOTALL | re.ASCII)
    ours = compiled(pattern)
    for text in texts * 2:  # the second time from what is remembered
        assert ours(text) is (theirs.fullmatch(text) is not None)
