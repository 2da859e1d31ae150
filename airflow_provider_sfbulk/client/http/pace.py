"""How long one HTTP exchange may take: one deadline for all of it, the reply's head included.

Theory. A limit of the silence between two bytes never ends a server that drips: a byte a minute, a head without end,
``100 Continue`` again and again. A limit of the sum ends large downloads that are healthy. So an exchange has credit:
the connection's ``timeout`` in seconds. Waiting uses it up, and every :data:`SLOWEST` bytes bring back a second, never
beyond what there was at first. A connection that is slow for a while is kept, one that is dead is not.

=================  ==============================================  =======================================
until              what uses the credit up                         what brings it back
=================  ==============================================  =======================================
the head is whole  every second, that of connecting too            bytes that the server takes
the body is whole  seconds of waiting for the network: a disk      bytes that come
                   that takes its time is not the server's fault
=================  ==============================================  =======================================

And the body has come :data:`BODY_SECONDS` after the head, whatever its rate. What comes must be a body: trailers and
extensions of chunks that never end are no sign of life.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from airflow_provider_sfbulk import limits

CONNECT_SECONDS: Final = 10.0
BODY_SECONDS: Final = float(limits.RESULT_PAGE_SECONDS)
"""Seconds in which a reply's body must have come; Salesforce gives up then, too."""

SLOWEST: Final = 16 * 1024
"""Bytes a second below which a connection is not a slow one but a dead one. Ours."""


_OVERHEAD: Final = 4 * 1024 * 1024
_OVERHEAD_TIMES: Final = 16
"""Bytes that come around a body at most, and for each of its own: what frames chunks of a byte is five times as long."""


class TooSlowError(TimeoutError):
    """An exchange has used up its time."""


class Pace:
    """The time that one exchange has left. Used by one thread at a time.

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

    def left(self) -> float:
        """Give the seconds that are left.

        :raises TooSlowError: there are none
        """
        now = self._clock()
        left = self._credit - (now - self._since) if self._end is None else min(self._credit, self._end - now)
        if left <= 0:
            raise self.error()
        return left

    def error(self) -> TooSlowError:
        """Say how far the exchange came."""
        seconds = self._clock() - self._begun
        if self._end is None:
            return TooSlowError(f"no whole reply in {seconds:.1f} s")
        return TooSlowError(f"{self._bytes} bytes of a reply in {seconds:.1f} s, and no end")

    def sent(self, count: int) -> None:
        """Take note of bytes that the network has taken."""
        if self._end is None:
            now = self._clock()
            self._refill(count, now - self._since)
            self._since = now

    def headed(self) -> None:
        """Take note that the reply's head has come."""
        self._end = self._clock() + BODY_SECONDS
        self._credit = self._timeout

    def came(self, count: int, seconds: float) -> None:
        """Take note of bytes that came after so many seconds of waiting. Those of a head bring nothing back: it has no
        end of its own.

        :raises TooSlowError: next to nothing of it is the body
        """
        if self._end is not None:
            self._bytes += count
            self._refill(count, seconds)
            if self._bytes > _OVERHEAD + _OVERHEAD_TIMES * self._body:
                raise self.error()

    def read(self, count: int) -> None:
        """Take note of bytes of the body itself."""
        self._body += count

    def _refill(self, count: int, seconds: float) -> None:
        self._credit = min(self._timeout, self._credit - seconds + count / SLOWEST)


def connect_seconds(timeout: float) -> float:
    """Give the seconds in which a connection must be made: some of the exchange's are kept for the reply."""
    return min(CONNECT_SECONDS, timeout / 2)
