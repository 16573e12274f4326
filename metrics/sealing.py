"""Sealing: the log's samples become chunks, and its batches are let go.

A slice takes the oldest batches that are not sealed, writes what they hold into the chunks of
samples (a few late ones beside these, see metrics.late), a few rows a transaction, and marks the
batches after the last one. Until they are marked, their samples are in both places, which is the
same as in one: samples are a set, and readers let the log win. So a slice may end at any moment,
by kill -9 too; the next one does the same again. Transactions are short because a publisher waits
for each of them (SQLite has one writer).
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from django.db import transaction
from django.db.models import Min, Q, QuerySet, Sum

from metrics import late, lease, log, merging, stats
from metrics.columns import Columns, Ints
from metrics.lease import Lease
from metrics.models import Batch, Series

logger = logging.getLogger(__name__)

SEAL_AFTER_MS = 600_000
SEAL_SAMPLES = 2_000_000  # sooner, when so many wait
# A chunk costs about the same to merge into whether by one sample or a hundred: with many series
# more samples are awaited.
SAMPLES_PER_SERIES = 100
SLICE_SAMPLES = 16_000_000
SLICE_BATCHES = 100_000
SETTLE_MS = 5_000  # on PostgreSQL a lower id may become visible after a higher one
CLOCK_MS = 60_000  # received later than so far ahead: the clock was set back since
KEEP_SEALED_MS = 300_000  # for processes that lag behind the log's end
STEP_SAMPLES = 1_000_000  # in memory at a time, some 60 bytes each
READ_SAMPLES = 200_000
READ_BATCHES = 500
SAMPLE_BYTES = 20  # in the log
SET_ASIDE_MS = 1 << 62  # "sealed" when: never to be deleted


@dataclass(slots=True)
class Sealed:
    """What a slice did."""

    batches: int = 0
    samples: int = 0
    chunks: int = 0
    late: int = 0  # samples that wait beside their chunks


def seal_slice(now_ms: int, held: Lease | None = None, *, samples: int = SLICE_SAMPLES) -> Sealed:
    """Seals the oldest batches, up to so many samples, without a pause.

    Takes the keeper's lease unless it is given; raises LeaseLost when another process has it.
    """
    done = Sealed()
    with lease.holding(held) as own:
        for _ in seal(own, now_ms, done, samples=samples):
            continue
    return done


def seal(
    held: Lease, now_ms: int, done: Sealed, *, samples: int = SLICE_SAMPLES
) -> Generator[None, None, None]:
    """seal_slice() in small pieces: whoever drives it may pause at each, or end there."""
    chosen = _choose(now_ms, samples)
    readable: list[tuple[int, int]] = []
    passes = -(-sum(count for _, count in chosen) // STEP_SAMPLES)
    sizer = merging.UnitSize()
    for turn in range(passes):
        parts: list[Columns] = []
        for ids in _groups(chosen if turn == 0 else readable, READ_BATCHES, READ_SAMPLES):
            found = _read(ids, held, now_ms)
            readable += [(id, len(columns)) for id, columns in found] if turn == 0 else []
            parts += [_share(columns, turn, passes) for _, columns in found]
            yield
        step = _in_order(Columns.join(parts))
        del parts
        step, waiting = late.split(step, now_ms)
        for unit in merging.units(step, sizer):
            done.chunks += merging.write(held, unit, sizer)
            yield
        done.late += len(waiting)
        for lines in late.units(waiting):
            late.write(held, lines, now_ms)
            yield
    empty = [(id, count) for id, count in chosen if count == 0]
    for ids in _groups(readable + empty, READ_BATCHES, merging.UNIT_BYTES // SAMPLE_BYTES):
        with transaction.atomic():
            held.renew()
            Batch.objects.filter(id__in=ids).update(sealed_at_ms=now_ms)
        done.batches += len(ids)
        yield
    done.samples += sum(count for _, count in readable)
    stats.inc("sealed_samples_total", done.samples)


def is_due(now_ms: int) -> bool:
    """Whether enough waits in the log, or something for long enough."""
    found = _waiting(now_ms).aggregate(oldest=Min("received_at_ms"), samples=Sum("count"))
    stats.set("unsealed_samples", found["samples"] or 0)
    if found["oldest"] is None:
        return False
    age_ms = now_ms - found["oldest"]
    if age_ms >= SEAL_AFTER_MS or age_ms < -CLOCK_MS:
        return True
    enough = max(SEAL_SAMPLES, SAMPLES_PER_SERIES * Series.objects.count())
    return bool(found["samples"] >= min(SLICE_SAMPLES, enough))


def delete_sealed(held: Lease, now_ms: int) -> Generator[None, None, bool]:
    """Deletes some of the batches that were sealed KEEP_SEALED_MS ago; whether it did any.

    The newest of all stays: its id tells where the log ends.
    """
    old = Batch.objects.filter(sealed_at_ms__lt=now_ms - KEEP_SEALED_MS, id__lt=log.newest_id())
    found = list(old.order_by("sealed_at_ms").values_list("id", "count")[:READ_BATCHES])
    for ids in _groups(found, READ_BATCHES, merging.UNIT_BYTES // SAMPLE_BYTES):
        with transaction.atomic():
            held.renew()
            Batch.objects.filter(id__in=ids).delete()
        yield
    return len(found) > 0


def _waiting(now_ms: int) -> QuerySet[Batch]:
    settled = Q(received_at_ms__lte=now_ms - SETTLE_MS) | Q(received_at_ms__gt=now_ms + CLOCK_MS)
    return Batch.objects.filter(settled, sealed_at_ms__isnull=True)


def _choose(now_ms: int, samples: int) -> list[tuple[int, int]]:
    """(id, count) of the oldest batches, up to so many samples but at least one batch."""
    rows = _waiting(now_ms).order_by("id").values_list("id", "count")[:SLICE_BATCHES]
    chosen: list[tuple[int, int]] = []
    total = 0
    for id, count in rows:
        total += count
        if chosen and total > samples:
            break
        chosen.append((id, count))
    return chosen


def _groups(batches: Sequence[tuple[int, int]], most: int, samples: int) -> Iterator[list[int]]:
    """Ids of batches, so many at most and together about so many samples."""
    ids: list[int] = []
    total = 0
    for id, count in batches:
        if ids and (len(ids) >= most or total + count > samples):
            yield ids
            ids, total = [], 0
        ids.append(id)
        total += count
    if ids:
        yield ids


def _read(ids: Sequence[int], held: Lease, now_ms: int) -> list[tuple[int, Columns]]:
    """(id, batch) in order of the ids. One that is damaged is set aside, not lost: the others
    behind it must not wait for ever."""
    found: list[tuple[int, Columns]] = []
    rows = Batch.objects.filter(id__in=ids, count__gt=0).order_by("id").values_list("id", "data")
    for id, data in rows:
        try:
            found.append((id, Columns.unpack(data)))
        except ValueError as error:
            logger.error("batch %d of the log cannot be read and is set aside: %s", id, error)
            with transaction.atomic():
                held.renew()
                Batch.objects.filter(id=id).update(sealed_at_ms=SET_ASIDE_MS)
    return found


def _share(columns: Columns, turn: int, passes: int) -> Columns:
    return columns if passes == 1 else columns.take(columns.series % passes == turn)


def _in_order(columns: Columns) -> Columns:
    """Sorted by series and time, of one series and time the last."""
    columns = columns.take(_order(columns))
    same = (columns.series[1:] == columns.series[:-1]) & (columns.times[1:] == columns.times[:-1])
    return columns.take(np.append(~same, True)) if same.any() else columns


def _order(columns: Columns) -> Ints:
    """The places of the samples by series and time; of equal ones the first comes first."""
    if not len(columns):
        return columns.series
    times = columns.times - columns.times.min()
    span_ms = int(times.max()) + 1
    if span_ms * (int(columns.series.max()) + 1) >= 1 << 63:
        return np.lexsort((columns.times, columns.series))
    # One key of both: samples in no order are then sorted in half the time; and in a tenth by a
    # sort that is not stable, which is as good where no two are of one series and time.
    key = columns.series * span_ms + times
    order: Ints = np.argsort(key)
    there = key[order]
    return np.argsort(key, kind="stable") if (there[1:] == there[:-1]).any() else order
