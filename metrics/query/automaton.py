"""Running a label regex in time linear in the text, whatever the pattern.

The tree becomes a nondeterministic automaton; the sets of states it passes through are
remembered (a lazily built deterministic automaton), so usual labels cost one look-up per
character. Every table is bounded and emptied when it is full.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from metrics.query import regex
from metrics.query.errors import ExpressionError

MAX_PATTERN_CHARS: Final = 1000
MAX_STATES: Final = 1000
MAX_BUILD_STEPS: Final = 10 * MAX_STATES
MAX_KNOWN_STATES: Final = 20_000
MAX_KNOWN_TEXTS: Final = 2_000
MAX_KNOWN_TEXT_CHARS: Final = 200

States = frozenset[int]
_MATCHED: Final = 0


@lru_cache(maxsize=128)
def compiled(pattern: str) -> Callable[[str], bool]:
    """A test "does the whole text match", shared by everybody who uses the pattern.

    Raises ExpressionError for a pattern that is not RE2, too long or too large.
    """
    tree = regex.read(pattern)
    words = _literals(tree)
    if words is not None:
        return words.__contains__
    if len(pattern) > MAX_PATTERN_CHARS:
        raise ExpressionError(
            f"a regex of {len(pattern)} characters is too long; "
            f"at most {MAX_PATTERN_CHARS} are allowed unless it only lists words as in `a|b|c`"
        )
    return Automaton(tree, pattern).matches


def _literals(tree: regex.Regex) -> frozenset[str] | None:
    """The words of ``a|b|c``, or None when the pattern is more than a list of words."""
    if isinstance(tree, regex.Choice):
        found = [_literals(option) for option in tree.options]
        lists = [words for words in found if words is not None]
        return frozenset().union(*lists) if len(lists) == len(found) else None
    items = tree.items if isinstance(tree, regex.Sequence) else (tree,)
    if len(items) == 1 and not isinstance(items[0], regex.Chars):
        return None if isinstance(items[0], regex.Edge | regex.Repeat) else _literals(items[0])
    letters = [item.literal if isinstance(item, regex.Chars) else None for item in items]
    known = [letter for letter in letters if letter is not None]
    return frozenset(("".join(known),)) if len(known) == len(letters) else None


def _simple_fold(char: str) -> str:
    """One character standing for all that differ from it in case only."""
    upper = char.upper()
    lower = (upper if len(upper) == 1 else char).lower()
    return lower if len(lower) == 1 else char


def _fits(chars: regex.Chars, char: str) -> bool:
    tried = {char}
    if chars.fold_case:
        folded = _simple_fold(char)
        tried |= {folded, folded.upper()}
    codes = [ord(one) for one in tried if len(one) == 1]
    return any(low <= code <= high for code in codes for low, high in chars.ranges)


class Automaton:
    """One pattern, ready to test texts. Safe to share between threads: tables only remember."""

    def __init__(self, tree: regex.Regex, pattern: str) -> None:
        self._pattern = pattern
        # Per state: what it consumes, and where it leads. Splits and edges consume nothing.
        self._consumes: list[regex.Chars | regex.Edge | None] = [None]
        self._leads_to: list[tuple[int, ...]] = [()]
        self._build_steps = 0
        self._start = self._build(tree, _MATCHED)
        self._first = self._reached({self._start}, at_start=True)
        empty = self._reached({self._start}, at_start=True, at_end=True)
        self._known_texts: dict[str, bool] = {"": _MATCHED in empty}
        self._known_steps: dict[tuple[States, str], States] = {}
        self._known_states = 0

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        known = self._known_texts.get(text)
        if known is None:
            known = self._run(text)
            if len(text) > MAX_KNOWN_TEXT_CHARS:
                return known
            if len(self._known_texts) >= MAX_KNOWN_TEXTS:
                self._known_texts = {"": self._known_texts[""]}
            self._known_texts[text] = known
        return known

    def _run(self, text: str) -> bool:
        states = self._first
        for char in text:
            following = self._known_steps.get((states, char))
            states = self._step(states, char) if following is None else following
            if not states:
                return False
        return _MATCHED in self._reached(states, at_end=True)

    def _step(self, states: States, char: str) -> States:
        targets: set[int] = set()
        for state in states:
            chars = self._consumes[state]
            if isinstance(chars, regex.Chars) and _fits(chars, char):
                targets.update(self._leads_to[state])
        following = self._reached(targets)
        self._known_states += 1 + len(following)
        if self._known_states > MAX_KNOWN_STATES:
            self._known_steps = {}
            self._known_states = 1 + len(following)
        self._known_steps[states, char] = following
        return following

    def _reached(
        self, states: set[int] | States, *, at_start: bool = False, at_end: bool = False
    ) -> States:
        """The states that wait for a character, for the end, or have matched."""
        seen, waiting = set(states), list(states)
        while waiting:
            state = waiting.pop()
            kind = self._consumes[state]
            if isinstance(kind, regex.Chars):
                continue
            if isinstance(kind, regex.Edge) and not (at_start if kind.at_start else at_end):
                continue
            fresh = [target for target in self._leads_to[state] if target not in seen]
            seen.update(fresh)
            waiting.extend(fresh)
        return frozenset(state for state in seen if self._rests(state))

    def _rests(self, state: int) -> bool:
        kind = self._consumes[state]
        if isinstance(kind, regex.Edge):
            return not kind.at_start
        return kind is not None or state == _MATCHED

    def _add(self, consumes: regex.Chars | regex.Edge | None, leads_to: tuple[int, ...]) -> int:
        if len(self._consumes) >= MAX_STATES:
            raise self._too_large()
        self._consumes.append(consumes)
        self._leads_to.append(leads_to)
        return len(self._consumes) - 1

    def _too_large(self) -> ExpressionError:
        return ExpressionError(f"the regex `{self._pattern[:60]}` is too large: shorten it")

    def _build(self, tree: regex.Regex, then: int) -> int:
        """Add the states of ``tree`` followed by state ``then``; returns the state to enter by."""
        self._build_steps += 1  # counted because repeated nothing, `(){9}`, adds no state
        if self._build_steps > MAX_BUILD_STEPS:
            raise self._too_large()
        if isinstance(tree, regex.Sequence):
            for item in reversed(tree.items):
                then = self._build(item, then)
            return then
        if isinstance(tree, regex.Choice):
            return self._add(None, tuple(self._build(option, then) for option in tree.options))
        if isinstance(tree, regex.Repeat):
            return self._build_repeat(tree, then)
        return self._add(tree, (then,))

    def _build_repeat(self, tree: regex.Repeat, then: int) -> int:
        if tree.most is None:
            loop = self._add(None, ())
            self._leads_to[loop] = (self._build(tree.item, loop), then)
            then = loop
        else:
            done = then
            for _ in range(tree.most - tree.least):
                then = self._add(None, (self._build(tree.item, then), done))
        for _ in range(tree.least):
            then = self._build(tree.item, then)
        return then
