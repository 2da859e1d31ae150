"""What both drivers do around one HTTP exchange, except for the I/O itself.

An upload is checked while it is sent, a reply while it is read, and each exchange writes one log line at DEBUG: method,
path, status, seconds; never a query, a header or a body.
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from airflow_provider_sfbulk.client.auth.hosts import is_loopback
from airflow_provider_sfbulk.client.effects import ERROR_BYTES, FETCH_BYTES, REPLY_BYTES, Body, Reply, Request, Sink
from airflow_provider_sfbulk.client.errors import LoginError, ProtocolError, SfBulkError, SourceError, TransportError
from airflow_provider_sfbulk.client.http.gunzip import Decoder, Plain, decoder_for
from airflow_provider_sfbulk.client.http.time_limit import TooSlowError
from airflow_provider_sfbulk.client.protocol.org import ApiUsage, read_usage
from airflow_provider_sfbulk.client.replies.safe_text import fit
from airflow_provider_sfbulk.client.settings import check_authorities

log = logging.getLogger("airflow_provider_sfbulk.client")

RAW_BYTES: Final = 1024 * 1024
"""Bytes read from the socket at a time. Measured: with a quarter of this, a query takes a fifth longer."""

USER_AGENT: Final = "airflow-provider-sfbulk"
_WARNING_CHARACTERS: Final = 300
_WARNINGS: Final = 20
"""Different warnings that one client logs: Salesforce sends one with each call of a version that will be retired soon."""

_COUNTED: Final = ("/services/data/v", "/services/async/", "/services/Soap/")
"""Paths whose calls count towards the org's API calls; logins and the list of versions do not."""


class Meter:
    """Counts API calls, and keeps what Salesforce last reported about them. May be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls = 0
        self.usage: ApiUsage | None = None
        self._warned: set[str] = set()

    def sent(self, request: Request) -> None:
        """Count a request that is about to be sent."""
        if urlsplit(request.url).path.startswith(_COUNTED):
            with self._lock:
                self.calls += 1

    def answered(self, request: Request, reply: Reply, seconds: float) -> None:
        """Log a reply, and read what it says about API calls."""
        log.debug("%s %s: %d in %.3f s", request.method, urlsplit(request.url).path, reply.status, seconds)
        usage = read_usage(reply.headers)
        if usage is not None:
            self.usage = usage
        warning = reply.headers.get("warning", "")[:_WARNING_CHARACTERS]
        if warning and warning not in self._warned and len(self._warned) < _WARNINGS:
            self._warned.add(warning)
            log.warning("Salesforce warns (%s): %r", urlsplit(request.url).path, warning)


class Upload:
    """A body while it is sent: its pieces, which must add up to its length.

    Having a length and pieces makes ``requests`` send ``Content-Length`` instead of chunks.
    """

    def __init__(self, body: Body) -> None:
        self._body = body

    def __len__(self) -> int:
        return self._body.length

    def __iter__(self) -> Iterator[bytes]:
        total = 0
        try:
            for piece in self._body.chunks():
                total += len(piece)
                if total > self._body.length:
                    break
                yield piece
        except OSError as error:
            # The HTTP library would take an OSError for an error of the network.
            raise SourceError(f"the data to upload cannot be read: {error.strerror or type(error).__name__}") from error
        if total != self._body.length:
            raise SourceError(f"the data to upload has changed: it was {self._body.length} bytes long")


class Memory:
    """A sink in memory.

    :param most: maximum bytes
    """

    def __init__(self, most: int = REPLY_BYTES) -> None:
        self._most = most
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def data(self) -> bytes:
        """All bytes so far."""
        return b"".join(self._pieces)

    def start(self, reply: Reply) -> None:
        """Do nothing."""

    def write(self, data: bytes) -> None:
        """Keep the next bytes.

        :raises ProtocolError: there are too many
        """
        self._size += len(data)
        if self._size > self._most:
            raise ProtocolError(f"a reply of more than {self._most:,} bytes, where a small one is expected")
        self._pieces.append(data)

    def finish(self) -> None:
        """Do nothing: the reader will see whether it is whole."""

    def discard(self) -> None:
        """Drop all bytes."""
        self._pieces.clear()


class Receiver:
    """Takes a reply's raw body and passes it on to ``sink``, decoded, or keeps it when it is not for the sink.

    A refusal longer than ``ERROR_BYTES`` contains nothing useful: only its status counts, and the rest is not read
    (:attr:`is_full`).

    :param head: status and headers
    :param sink: of a ``Fetch``; it gets only the body of a 200
    """

    def __init__(self, head: Reply, sink: Sink | None) -> None:
        self._head = head
        self._is_refusal = head.status >= 300
        self._memory = Memory(ERROR_BYTES if self._is_refusal else REPLY_BYTES)
        self.is_fetched = sink is not None and head.status == 200
        self.is_full = False
        self._sink: Sink = sink if sink is not None and head.status == 200 else self._memory
        self._decoder: Decoder = Plain()
        self._size = 0

    def start(self) -> None:
        """Begin.

        :raises ProtocolError: the body is in a coding that was not asked for
        """
        self._decoder = decoder_for(self._head)
        self._sink.start(self._head)

    def feed(self, raw: bytes) -> None:
        """Take the next bytes of the socket.

        :raises ProtocolError: there are too many
        """
        try:
            for piece in self._decoder.decode(raw):
                self._size += len(piece)
                if self._size > FETCH_BYTES:
                    raise ProtocolError(f"a reply of more than {FETCH_BYTES:,} bytes", status=self._head.status)
                self._sink.write(piece)
        except ProtocolError:
            if not self._is_refusal:
                raise
            self._memory.discard()
            self.is_full = True

    def finish(self) -> Reply:
        """Check that the body is complete, and return the reply."""
        if not self.is_full:
            self._decoder.finish()
            self._sink.finish()
        return Reply(self._head.status, self._head.headers, self._memory.data)

    def discard(self) -> None:
        """Drop the body. Never raises: this follows an error that must not be replaced."""
        with suppress(Exception):
            self._sink.discard()


def url_of(request: Request) -> str:
    """Return the URL with its query."""
    return f"{request.url}?{urlencode(request.query, quote_via=quote)}" if request.query else request.url


def headers_of(request: Request) -> dict[str, str]:
    """Return the headers to send."""
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip", **request.headers}
    if request.body is not None:
        headers["Content-Type"] = request.body.content_type
        headers["Content-Length"] = str(request.body.length)
    return headers


def head_of(status: int, headers: Mapping[str, str]) -> Reply:
    """Return a reply without its body. Names of headers become lower case."""
    return Reply(status, {name.lower(): value for name, value in headers.items()})


def is_local(request: Request) -> bool:
    """Whether the request stays on this machine, and so needs no proxy."""
    return is_loopback(urlsplit(request.url).hostname or "")


def authorities(ca_file: str | None) -> str | None:
    """Return the file of certificate authorities to trust, from the connection or the environment; None for the default.

    :raises LoginError: the file that the environment names cannot be used; that of the connection was checked before
    """
    if ca_file:
        return ca_file
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if found := os.environ.get(variable):
            check_authorities(found, what=variable)
            return found
    return None


def no_reply(request: Request, error: Exception, *, sent: bool) -> SfBulkError:
    """Make the error for an exchange that did not complete. It does not quote ``error``, which may quote the request."""
    parts = urlsplit(request.url)
    place = f"{request.method} {parts.scheme}://{parts.netloc}{parts.path}"
    if _found(error, ssl.SSLCertVerificationError):
        return LoginError(
            f"{place}: the host's certificate is not trusted: if your own authority issued it, set ca_file",
            method=request.method,
            path=parts.path,
        )
    slow = _found(error, TooSlowError)
    reason = str(slow) if slow else "no complete reply was received" if sent else "no connection could be made"
    found = TransportError(f"{place}: {reason} ({type(error).__name__})", method=request.method, path=parts.path)
    found.sent = sent
    return found


def name(error: BaseException, request: Request) -> None:
    """Add the request to an error of a body, if the error does not name it yet."""
    if isinstance(error, SfBulkError) and error.path is None:
        error.method, error.path = request.method, urlsplit(request.url).path
        error.args = (fit(f"{error.method} {error.path}: {error}"),)


def _found(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the error of a kind that an error is, was caused by or carries."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, kind):
            return each
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    return None
