"""Records that somebody else holds: rows that change them, or that name them as a parent, fail with ``UNABLE_TO_LOCK_ROW``.

In Salesforce a child's insert or update locks its parents, so that two jobs with children of one parent are in each other's
way; it passes by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Locks:
    """The records that are held. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: dict[str, int | None] = {}
        self._contended: set[str] = set()

    def hold(self, record_id: str, *, batches: int | None = None) -> None:
        """Hold a record.

        :param batches: let go after rows of so many batches have met it; None: until :meth:`release`
        """
        with self._lock:
            self._batches[record_id] = batches

    def contend(self, record_id: str) -> None:
        """Let everything that runs in parallel compete for a record, and lose. Serial jobs of Bulk API 1.0 do not
        compete: their batches come one after the other."""
        with self._lock:
            self._contended.add(record_id)

    def release(self, record_id: str) -> None:
        """Let go of a record."""
        with self._lock:
            self._batches.pop(record_id, None)
            self._contended.discard(record_id)

    def clear(self) -> None:
        """Let go of all records."""
        with self._lock:
            self._batches.clear()
            self._contended.clear()

    @property
    def held(self) -> frozenset[str]:
        """Ids of the records that a batch cannot have."""
        with self._lock:
            return frozenset(self._batches) | self._contended

    @property
    def held_in_serial(self) -> frozenset[str]:
        """Ids of the records that a batch of a serial job cannot have."""
        with self._lock:
            return frozenset(self._batches)

    def met(self, record_ids: Iterable[str]) -> None:
        """Note that rows of a batch have met these records."""
        with self._lock:
            for record_id in record_ids:
                left = self._batches.get(record_id)
                if left is not None:
                    if left <= 1:
                        del self._batches[record_id]
                    else:
                        self._batches[record_id] = left - 1
