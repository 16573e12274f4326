"""The bell: says in this process what has just been committed to the log.

It carries news, not truth: whoever misses it reads the log.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from metrics.columns import Columns

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it was stored."""

    id: int
    time_ms: int
    title: str
    text: str
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class Committed:
    """One batch of the log. `received_ns` is time.monotonic_ns() of its first entry, 0 if unknown
    (it came from another process)."""

    id: int
    columns: Columns
    events: tuple[StoredEvent, ...] = ()
    received_ns: int = 0


Listener = Callable[[Committed], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> Callable[[], None]:
    """Calls `listener` after each commit of this process, on the committing thread.

    Returns a function that ends it.
    """
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


# A forked child has neither the threads nor the event loop that listen; its parent's tail finds
# what it commits.
os.register_at_fork(after_in_child=_listeners.clear)


def ring(committed: Committed) -> None:
    for listener in tuple(_listeners):
        try:
            listener(committed)
        except Exception:
            # The samples are safe; a listener that fails finds them in the log.
            logger.exception("a listener failed on batch %d", committed.id)
