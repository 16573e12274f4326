"""The client's event loop: the fast one where it can be had, off the server's core."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from benchmarks.processes import on_load_cores

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Runs `main` to its end."""
    from dashboard.server import fast_loop

    with on_load_cores(), asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(main)
