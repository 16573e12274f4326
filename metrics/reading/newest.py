"""The newest sample that is sealed."""

from __future__ import annotations

from collections.abc import Sequence

from metrics.chunks import SAMPLES
from metrics.models import Chunk
from metrics.reading import decoding, late


def sealed(ids: Sequence[int]) -> dict[int, tuple[int, float]]:
    """(time, value) of the last sample of each series that has one outside of the log.

    One look-up a series, whatever is stored: for a page of series, not for all of them.
    """
    found = {}
    waiting = late.newest(ids)
    for id in ids:
        rows = Chunk.objects.filter(resolution_ms=SAMPLES, series_id=id).order_by("-start_ms")
        for at_ms, data in rows.values_list("start_ms", "data")[:1]:
            times, values = decoding.samples((id, at_ms), bytes(data))
            if len(times):
                found[id] = (int(times[-1]), float(values[-1]))
    for id, one in waiting.items():
        if id not in found or found[id][0] <= one[0]:
            found[id] = one
    return found
