"""Connections of ``urllib3`` that keep the time limit of an exchange (``time_limit.py``).

The timeout of ``requests`` covers only the silence between two bytes, and a read goes on until it has all the bytes that
were requested. So the socket is wrapped, below everything that buffers: this covers TLS, a proxy's tunnel and every
framing of a body.
"""

from __future__ import annotations

import io
import time
from contextvars import ContextVar
from email.errors import MultipartInvariantViolationDefect, StartBoundaryNotFoundDefect
from http.client import HTTPException, HTTPResponse
from typing import Any, ClassVar, Final, cast

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from airflow_provider_sfbulk.client.http.time_limit import TimeLimit

TIME_LIMIT: Final[ContextVar[TimeLimit | None]] = ContextVar("sfbulk_time_limit", default=None)
"""The time limit of this thread's exchange. A connection takes it over with the request."""


_OF_A_BODY: Final = (StartBoundaryNotFoundDefect, MultipartInvariantViolationDefect)
"""What the parser misses in the body, which it does not get."""


class _Reading(io.RawIOBase):
    """What a reply is read from."""

    def __init__(self, timed: _TimedSocket, raw: io.RawIOBase) -> None:
        super().__init__()
        self._timed = timed
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        time_limit = self._timed.time_limit
        self._timed.settimeout(time_limit.left())
        begun = time.monotonic()
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError as error:
            raise time_limit.error() from error
        time_limit.received(count or 0, time.monotonic() - begun)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """A socket of any kind whose waits keep the time limit. Everything else is left to the socket."""

    def __init__(self, inner: Any, time_limit: TimeLimit) -> None:
        self.inner = inner
        self.time_limit = time_limit

    def makefile(self, mode: str, *_: Any, **__: Any) -> io.BufferedReader:
        # Made by the socket: when it is closed, it counts what still reads from it.
        return io.BufferedReader(_Reading(self, self.inner.makefile(mode, 0)))

    def sendall(self, data: Any, *flags: Any) -> None:
        with memoryview(data).cast("B") as waiting:
            at = 0
            while at < len(waiting):
                self.inner.settimeout(self.time_limit.left())
                try:
                    count = self.inner.send(waiting[at:], *flags)
                except TimeoutError as error:
                    raise self.time_limit.error() from error
                self.time_limit.sent(count)
                at += count

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class _Response(HTTPResponse):
    """A reply whose head must be complete. The standard library takes a head that was cut off for a short one, and
    ``urllib3`` logs what it could not parse, which may be anything."""

    def begin(self) -> None:
        super().begin()
        if any(not isinstance(each, _OF_A_BODY) for each in self.msg.defects):
            raise HTTPException("the head of the reply is incomplete")


class _Timed:
    """Mixed into a connection: makes its socket keep the time limit of the current exchange."""

    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock = _TimedSocket(self.sock, _current())

    def _tunnel(self) -> None:
        timed = _TimedSocket(self.sock, _current())
        self.sock = timed
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            if self.sock is timed:
                self.sock = timed.inner

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # it was used before
            self.sock.time_limit = _current()
        super().request(*args, **kwargs)  # type: ignore[misc]


def _current() -> TimeLimit:
    time_limit = TIME_LIMIT.get()
    assert time_limit is not None, "a driver sets it before it sends"
    return time_limit


class _Connection(_Timed, HTTPConnection):
    response_class = cast("Any", _Response)


class _TlsConnection(_Timed, HTTPSConnection):
    response_class = cast("Any", _Response)


class _Pool(HTTPConnectionPool):
    ConnectionCls = cast("Any", _Connection)


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = cast("Any", _TlsConnection)


class TimedAdapter(HTTPAdapter):
    """The adapter of ``requests`` with such connections. Nothing is repeated: every retry is a flow's decision, and
    ``urllib3`` would repeat a PUT."""

    _POOLS: ClassVar = {"http": _Pool, "https": _TlsPool}

    def __init__(self, connections: int) -> None:
        never = urllib3.Retry(total=0, read=False, redirect=0)
        super().__init__(pool_maxsize=connections, max_retries=never)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the manager of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the manager of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._POOLS
        return manager
