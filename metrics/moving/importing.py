"""Samples of a file into the store: checked, in blocks, each counted once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from django.db import transaction

from metrics import catalog, intake, keep, rows
from metrics.chunks import SAMPLES
from metrics.clock import now_ms
from metrics.models import Metric, Receipt
from metrics.moving.progress import Progress
from metrics.moving.samples_in import Bad, Item, Reader
from metrics.moving.text_lines import TextFile
from metrics.moving.trouble import CannotMove
from metrics.refused import Refused
from metrics.samples import Sample

BLOCK_SAMPLES = 20_000  # one commit: others wait for it for some hundredths of a second
SCOPE = "import"  # of receipts, which are kept for a day
PATIENCE_S = 60.0
PAUSE_S = 1.0

Good = tuple[int, Sample]


@dataclass(slots=True)
class Found:
    """What a file holds, or what became of it; `bad` are the first of `bad_lines`."""

    samples: int = 0
    before: int = 0  # of them, those that an earlier import had stored
    bad_lines: int = 0
    bad: list[Bad] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)
    first_ms: int = 1 << 62
    last_ms: int = 0

    def note(self, samples: Sequence[Good]) -> None:
        self.samples += len(samples)
        for _, sample in samples:
            at_ms = sample.time or 0
            self.first_ms = min(self.first_ms, at_ms)
            self.last_ms = max(self.last_ms, at_ms)
            self.metrics.add(sample.metric)


def thinned_after_days(found: Found, now: int) -> int:
    """After how many days retention leaves only rollups of some of these samples; 0: never."""
    own = Metric.objects.filter(name__in=found.metrics).values_list("keep_raw_days", flat=True)
    kept = [days for each in own.distinct() if (days := keep.days(SAMPLES, each))]
    shortest = min(kept, default=0)
    return shortest if shortest and found.first_ms < now - shortest * keep.DAY_MS else 0


@dataclass(frozen=True, slots=True)
class Choices:
    """`show` bad lines are kept to be shown; `keep_days` is the retention of the metrics'
    samples (0: for ever, None: as it is); `again`: also what an earlier import has stored."""

    show: int = 20
    keep_days: int | None = None
    unit: str = ""
    again: bool = False


class Import:
    """One file on its way in."""

    def __init__(self, file: TextFile, reader: Reader, choices: Choices) -> None:
        self._file = file
        self._reader = reader
        self._choices = choices
        self._ids: dict[catalog.Key, int] = {}
        self._described: set[str] = set()

    def check(self, progress: Progress) -> Found:
        """Reads the whole file and stores nothing. Raises CannotMove."""
        found = Found()
        for block in self._blocks(found, progress):
            found.note(block)
        return found

    def store(self, progress: Progress) -> Found:
        """Stores what is good. Raises CannotMove; what was stored by then stays.

        A block and the note that it is stored are one transaction, so an import that ended in the
        middle, however hard, goes on where it was when it is run again.
        """
        found = Found()
        for block in self._blocks(found, progress):
            if not self._store(block, found):
                found.before += len(block)
            found.note(block)
        return found

    def _blocks(self, found: Found, progress: Progress) -> Iterator[list[Good]]:
        with self._file.lines() as lines:
            good = self._only_good(self._reader.read(lines), found)
            while block := list(islice(good, BLOCK_SAMPLES)):
                yield block
                progress.reach(lines.position)

    def _only_good(self, items: Iterator[Item], found: Found) -> Iterator[Good]:
        last_bad = 0
        for item in items:
            if not isinstance(item, Bad):
                yield item
                continue
            found.bad_lines += item.line != last_bad
            last_bad = item.line
            if len(found.bad) < self._choices.show:
                found.bad.append(item)

    def _store(self, block: list[Good], found: Found) -> bool:
        samples = [sample for _, sample in block]
        until_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._once(samples)
            except Refused as refused:
                self._ids.clear()  # what the transaction made is gone with it
                if refused.status == 503 and time.monotonic() < until_s:
                    time.sleep(PAUSE_S)
                    continue
                raise CannotMove(self._stopped(refused, block, found.samples)) from None

    def _once(self, samples: Sequence[Sample]) -> bool:
        """False when the very same block was stored by an earlier import."""
        key = self._key(samples)
        earlier = Receipt.objects.filter(scope=SCOPE, key=key)
        if key and not self._choices.again and earlier.exists():
            self._describe({sample.metric: sample for sample in samples})
            return False
        with transaction.atomic():
            at_ms = now_ms()
            intake.accept(samples, now_ms=at_ms)
            self._describe({sample.metric: sample for sample in samples})
            key = self._key(samples)
            Receipt.objects.bulk_create(
                [Receipt(scope=SCOPE, key=key, body_hash=bytes.fromhex(key), stored=len(samples),
                         created_at_ms=at_ms)],
                ignore_conflicts=True,
            )  # fmt: skip
        return True

    def _key(self, samples: Sequence[Sample]) -> str:
        """A name for exactly these samples of these series; empty while one is not stored.

        Made of the series' ids: a metric that was deleted and is imported anew is another one.
        """
        keys = [catalog.key_of(sample.metric, sample.labels) for sample in samples]
        wanted = {
            rows.fingerprint(metric, dict(labels)): (metric, labels)
            for metric, labels in set(keys) - self._ids.keys()
        }
        found = rows.find(wanted)
        self._ids |= {wanted[print]: one.known.id for print, one in found.items()}
        if len(found) < len(wanted):
            return ""
        hashed = hashlib.blake2b(digest_size=32)
        hashed.update(np.array([self._ids[key] for key in keys], "<i8").tobytes())
        hashed.update(np.array([sample.time for sample in samples], "<i8").tobytes())
        hashed.update(np.array([sample.value for sample in samples], "<f8").tobytes())
        return hashed.hexdigest()

    def _describe(self, samples: dict[str, Sample]) -> None:
        """Kind, unit, help and retention of metrics that come for the first time in this file."""
        new = samples.keys() - self._described
        if not new:
            return
        said = {}
        for name in new:
            kind = "gauge" if samples[name].kind == "gauge" else "counter"
            description = self._reader.descriptions.get(name, catalog.Description(kind))
            unit = self._choices.unit or description.unit
            said[name] = catalog.Description(description.kind, unit, description.help)
        catalog.describe(said)
        if self._choices.keep_days is not None:
            mine = Metric.objects.filter(name__in=new)
            mine.update(keep_raw_days=self._choices.keep_days)
        self._described |= new

    def _stopped(self, refused: Refused, block: list[Good], stored: int) -> str:
        """Which line it was, in words, and what to do."""
        place, _, field = refused.item.partition("].")
        index = place.removeprefix("samples[").rstrip("]")
        line = f"Line {block[int(index)][0]}: " if index.isdigit() else ""
        what = f"{field}: {refused.message}" if field else refused.message
        return (
            f"{self._file.name}: {line}{what}. {stored:,} samples before are stored; run the same "
            "command again to go on from there."
        )
