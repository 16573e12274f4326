"""Idempotency-Keys that were answered: the same request again counts once."""

from __future__ import annotations

from collections.abc import Sequence

from metrics.entry import Entry
from metrics.models import Receipt
from metrics.refused import Refused
from metrics.samples import Accepted


class Book:
    """The receipts of the keys that these requests came with."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        keys = {entry.receipt.key for entry in entries if entry.receipt}
        rows = Receipt.objects.filter(key__in=keys) if keys else ()
        self._known = {(row.scope, row.key): (bytes(row.body_hash), row.stored) for row in rows}
        self._new: list[Receipt] = []

    def answer(self, entry: Entry) -> Accepted | Refused | None:
        """What a request is told whose key was used before; None: it is fresh."""
        receipt = entry.receipt
        before = self._known.get((receipt.scope, receipt.key)) if receipt else None
        if receipt is None or before is None:
            return None
        body_hash, stored = before
        if body_hash != receipt.body_hash:
            return Refused(
                422, "Idempotency-Key", "was used before with another body: use a new key"
            )
        return Accepted(stored, replayed=True)

    def add(self, entry: Entry) -> None:
        """This one is stored: from now on it is known."""
        receipt = entry.receipt
        if receipt is None:
            return
        self._known[receipt.scope, receipt.key] = (receipt.body_hash, entry.stored)
        self._new.append(
            Receipt(
                scope=receipt.scope,
                key=receipt.key,
                body_hash=receipt.body_hash,
                stored=entry.stored,
                created_at_ms=entry.now_ms,
            )
        )

    def keep(self) -> None:
        """Writes the new receipts, with the same transaction."""
        Receipt.objects.bulk_create(self._new)
