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

    def hold(self, record_id: str, *, batches: int | None = None) -> None:
        """Hold a record.

        :param batches: let go after rows of so many batches have met it; None: until :meth:`release`
        """
        with self._lock:
            self._batches[record_id] = batches

    def release(self, record_id: str) -> None:
        """Let go of a record."""
        with self._lock:
            self._batches.pop(record_id, None)

    @property
    def held(self) -> frozenset[str]:
        """Ids of the records that are held."""
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
