"""The time limit of one HTTP exchange, from connecting to the last byte of the reply.

It does not limit how often calls are made: see ``client/waiting`` for polls, ``client/protocol/retry.py`` for retries.

A limit on the silence between two bytes never stops a server that drips: a byte a minute, a head without end,
``100 Continue`` again and again. A limit on the total time stops healthy large downloads. So an exchange has credit: the
connection's ``timeout`` in seconds. Waiting uses it up, and every :data:`SLOWEST` bytes restore a second, never beyond
the initial credit. A connection that is slow for a while is kept, a dead one is not.

=================  ==============================================  =======================================
until              what uses up the credit                         what restores it
=================  ==============================================  =======================================
the head is there  every second, including connecting              bytes that the server accepts
the body is there  seconds of waiting for the network: a slow      bytes that arrive
                   disk is not the server's fault
=================  ==============================================  =======================================

In addition, the body must have arrived :data:`BODY_SECONDS` after the head, whatever its rate. Only bytes of a body count:
endless trailers and chunk extensions do not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from airflow_provider_sfbulk import limits

CONNECT_SECONDS: Final = 10.0
BODY_SECONDS: Final = float(limits.RESULT_PAGE_SECONDS)
"""Seconds within which a reply's body must have arrived; Salesforce's own limit."""

SLOWEST: Final = 16 * 1024
"""Bytes per second below which a connection counts as dead; our limit."""


_OVERHEAD: Final = 4 * 1024 * 1024
_OVERHEAD_TIMES: Final = 16
"""Maximum bytes that are not the body, in total and per byte of the body: the framing of one-byte chunks is five times as
long as the chunks."""


class TooSlowError(TimeoutError):
    """An exchange has used up its time."""


class TimeLimit:
    """The time limit of one exchange. Used by one thread at a time.

    :param timeout: of the connection, in seconds
    :param clock: seconds of a monotonic clock
    """

    def __init__(self, timeout: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout = timeout
        self._clock = clock
        self._begun = self._since = clock()
        self._credit = timeout
        self._end: float | None = None
        self._bytes = 0
        self._body = 0

    @property
    def seconds(self) -> float:
        """Seconds since the exchange began."""
        return self._clock() - self._begun

    def left(self) -> float:
        """Return the seconds that are left.

        :raises TooSlowError: there are none
        """
        now = self._clock()
        left = self._credit - (now - self._since) if self._end is None else min(self._credit, self._end - now)
        if left <= 0:
            raise self.error()
        return left

    def error(self) -> TooSlowError:
        """Return the error, which says how far the exchange got."""
        if self._end is None:
            return TooSlowError(f"no complete reply in {self.seconds:.1f} s")
        return TooSlowError(f"only {self._bytes:,} bytes of the reply in {self.seconds:.1f} s")

    def sent(self, count: int) -> None:
        """Count bytes that the network has accepted."""
        if self._end is None:
            now = self._clock()
            self._refill(count, now - self._since)
            self._since = now

    def head_received(self) -> None:
        """Start the time of the body, once the reply's head has arrived."""
        self._end = self._clock() + BODY_SECONDS
        self._credit = self._timeout

    def received(self, count: int, seconds: float) -> None:
        """Count bytes that arrived after this many seconds of waiting. Bytes of a head restore no credit, since it may be
        endless.

        :raises TooSlowError: hardly any of them are the body
        """
        if self._end is not None:
            self._bytes += count
            self._refill(count, seconds)
            if self._bytes > _OVERHEAD + _OVERHEAD_TIMES * self._body:
                raise self.error()

    def read(self, count: int) -> None:
        """Count bytes of the body itself."""
        self._body += count

    def _refill(self, count: int, seconds: float) -> None:
        self._credit = min(self._timeout, self._credit - seconds + count / SLOWEST)


def connect_seconds(timeout: float) -> float:
    """Return the seconds within which a connection must be made: some of the time is kept for the reply."""
    return min(CONNECT_SECONDS, timeout / 2)
