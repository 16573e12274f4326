"""The only place where tests wait: for a condition, against a deadline."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Result = TypeVar("Result")

PAUSE_S = 0.01
DEADLINE_S = 60.0  # only a failure takes so long, on a busy machine too


class _Attempts:
    """Remembers why a condition did not hold, to say so at the deadline."""

    def __init__(self, condition: object, timeout_s: float, what: str) -> None:
        self._deadline = time.monotonic() + timeout_s
        self._timeout_s = timeout_s
        self._what = what or getattr(condition, "__name__", repr(condition))
        self._reason = ""

    def missed(self, reason: object) -> None:
        """Notes a failed attempt; raises AssertionError when it was the last."""
        self._reason = f" ({reason!r})"
        if time.monotonic() >= self._deadline:
            raise AssertionError(f"not within {self._timeout_s} s: {self._what}{self._reason}")


def eventually(
    condition: Callable[[], Result | None], timeout_s: float = DEADLINE_S, what: str = ""
) -> Result:
    """Calls `condition` until it returns something true, and returns that.

    An AssertionError in `condition` means "not yet". Raises AssertionError at the deadline,
    with `what` (a few words on what was expected) and the last result.
    """
    attempts = _Attempts(condition, timeout_s, what)
    while True:
        try:
            result = condition()
        except AssertionError as error:
            attempts.missed(error)
        else:
            if result:
                return result
            attempts.missed(result)
        time.sleep(PAUSE_S)


@overload
async def aeventually(
    condition: Callable[[], Awaitable[Result | None]], timeout_s: float = ..., what: str = ...
) -> Result: ...
@overload
async def aeventually(
    condition: Callable[[], Result | None], timeout_s: float = ..., what: str = ...
) -> Result: ...
async def aeventually(
    condition: Callable[[], Any], timeout_s: float = DEADLINE_S, what: str = ""
) -> Any:
    """`eventually` for the event loop; `condition` may be a plain or an async function."""
    attempts = _Attempts(condition, timeout_s, what)
    while True:
        try:
            result = condition()
            if inspect.isawaitable(result):
                result = await result
        except AssertionError as error:
            attempts.missed(error)
        else:
            if result:
                return result
            attempts.missed(result)
        await asyncio.sleep(PAUSE_S)
