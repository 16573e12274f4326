"""Database work beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import connection

Given = ParamSpec("Given")
Result = TypeVar("Result")


async def beside_loop(
    work: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
) -> Result:
    """Runs `work` on a thread of the loop's pool.

    Each such thread has a database connection of its own, and no request to look after it: one
    that is broken or too old is closed here, or every later use of the thread would fail.
    """

    def looked_after() -> Result:
        connection.close_if_unusable_or_obsolete()
        try:
            return work(*args, **kwargs)
        finally:
            connection.close_if_unusable_or_obsolete()

    return await asyncio.to_thread(looked_after)
