"""A ledger that lasts as long as the process, for loads without Airflow."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any


class MemoryLedger:
    """Keeps entries in memory. The first value under a key stays.

    A load that dies with its process leaves ``Open`` jobs behind, which Salesforce never processes; the next load starts
    from nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Mapping[str, Any]] = {}

    def recall(self, key: str, /) -> Mapping[str, Any] | None:
        """Read what is recorded under ``key``."""
        with self._lock:
            return self._entries.get(key)

    def record(self, key: str, value: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Write, unless there is an entry already, and return the entry."""
        with self._lock:
            return self._entries.setdefault(key, value)
