"""The org's time: real time plus what a test has added to it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Final

_ROOM: Final = timedelta(days=366)
"""Beyond the present that the org counts with moments: jobs, sessions, limits."""


class Clock:
    """Aware UTC time that can be moved forward. Safe to use from several threads."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._frozen: datetime | None = None
        self._moved = threading.Condition()

    def now(self) -> datetime:
        """Return the org's present time."""
        frozen = self._frozen
        return datetime.now(UTC) + self._ahead if frozen is None else frozen

    def advance(self, seconds: float | timedelta) -> None:
        """Move the time forward, and wake the threads that wait on :attr:`lock`.

        :raises ValueError: for less than nothing, and for what is no length of time
        :raises OverflowError: beyond the year 9999
        """
        span = timedelta(seconds=seconds_of(seconds, "time only moves forward: seconds"))
        with self._moved:
            if self._frozen is not None:
                _ = self._frozen + span + _ROOM
                self._frozen += span
                self._moved.notify_all()
                return
            ahead = self._ahead + span
            _ = datetime.now(UTC) + ahead + _ROOM
            self._ahead = ahead
            self._moved.notify_all()

    def freeze(self, at: datetime | None = None) -> None:
        """Stop the time at a given moment, or now."""
        with self._moved:
            self._frozen = self.now() if at is None else at
            self._moved.notify_all()

    def unfreeze(self) -> None:
        """Let the time run on from where it is."""
        with self._moved:
            if self._frozen is not None:
                self._ahead = self._frozen - datetime.now(UTC)
                self._frozen = None
                self._moved.notify_all()

    def reset(self) -> None:
        """Let the time be the real one."""
        with self._moved:
            self._ahead, self._frozen = timedelta(), None
            self._moved.notify_all()

    @property
    def lock(self) -> threading.Condition:
        """What to wait on for time to pass: it is notified when the time is advanced."""
        return self._moved


def seconds_of(value: object, what: str) -> float:
    """Read a length of time: seconds, or a timedelta.

    :param what: what the value is, for the message
    :raises ValueError: it is neither, or less than nothing
    """
    given = value.total_seconds() if isinstance(value, timedelta) else value
    if not isinstance(given, (int, float)) or isinstance(given, bool) or not 0 <= given < inf:
        raise ValueError(f"{what} must be a number from 0, or a timedelta, not {value!r:.40}")
    return float(given)


def in_json(moment: datetime) -> str:
    """Write a moment as JSON bodies do: ``2026-03-04T05:06:07.000+0000``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def in_csv(moment: datetime) -> str:
    """Write a moment as CSV and the tables do: ``2026-03-04T05:06:07.000Z``. Salesforce keeps whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
