"""Garbage collection beside thousands of sockets.

A full collection looks at every object there is and stops all threads meanwhile: for a third of a
second with 5,000 sockets, and it comes again and again while they come. What a socket is made of
stays as long as the socket and is freed without the collector's help. So it is set apart as the
sockets get more, and the collector has only the rest to look at.
"""

from __future__ import annotations

import gc

SOCKETS_AT_ONCE = 250  # some 40,000 objects: 10 ms of a full collection


class Apart:
    """For how many sockets all objects were set apart; touched only from the event loop."""

    def __init__(self) -> None:
        self._sockets = 0

    def more(self, sockets: int) -> None:
        """There are now so many."""
        if sockets >= self._sockets + SOCKETS_AT_ONCE:
            self._sockets = sockets
            gc.collect(1)  # young garbage must not be kept
            gc.freeze()

    def tidy(self, sockets: int) -> None:
        """So many are left: when most have gone, looks once through what was set apart, for what
        was under way at that moment and has become garbage since."""
        if 2 * sockets < self._sockets:
            self._sockets = sockets
            set_apart()


def set_apart() -> None:
    """All that is there now stays, and is not looked through again; takes some 0.1 s."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
