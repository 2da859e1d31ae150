"""What flows request, and what they are sent back.

A *flow* is a generator that makes decisions and does no I/O: it yields effects and is sent their results. A *driver*
(``http/``) performs the effects, blocking or asynchronously; the error of a failed effect is raised inside the flow, at the
yield. So every decision is written once, can be tested without a socket or a clock, and a simulator can stop it at every
effect.

==================  ============================================  ==================================================
effect              result                                        raised at the yield
==================  ============================================  ==================================================
``Authorize``       ``Token``                                     ``LoginError``, ``TransientError``
``Send``            ``Reply``, any status                         ``TransportError``
``Fetch``           ``Reply``; a 200's body went to the sink      ``TransportError``, what the sink raises
``Sleep``           None
``Now``             seconds of a monotonic clock
``ReadEntry``       the recorded value, or None                   ``LedgerError``
``WriteEntry``      the recorded value, verified                  ``LedgerError``
``Aside``           None                                          what the call raises
``Concurrently``    list of the flows' results, in their order    the first error, once the others have stopped
==================  ============================================  ==================================================
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

REPLY_BYTES: Final = 16 * 1024 * 1024
"""Maximum bytes of a reply that is held in memory: a job list page has some 600 kB, the describe of an object with 800
fields some 2 MB. More is refused with a ``ProtocolError``: a reply is not trusted until it is checked."""

ERROR_BYTES: Final = 128 * 1024
"""Maximum bytes that are read of a refusal: Salesforce's have some hundred bytes, a maintenance page some ten thousand."""

FETCH_BYTES: Final = 10_000_000_000
"""Maximum bytes of a download, decompressed. Salesforce's largest result files have 1 GB (``limits.RESULT_FILE_BYTES``)."""


@dataclass(frozen=True)
class Token:
    """A session at Salesforce.

    :param access_token: sent as ``Authorization: Bearer …``
    :param instance_url: scheme and host of all API calls, checked against the allowed hosts, without trailing slash
    """

    access_token: str = field(repr=False)
    instance_url: str


@dataclass(frozen=True)
class Body:
    """A body to upload: a way to open it, since it may have to be sent again after a new login.

    :param chunks: called each time it is sent; returns the body's bytes in pieces
    :param length: bytes of all pieces together
    :param content_type: value of the ``Content-Type`` header
    """

    chunks: Callable[[], Iterable[bytes]]
    length: int
    content_type: str

    @classmethod
    def of(cls, data: bytes, content_type: str) -> Body:
        """Make a body from bytes in memory."""
        return cls(chunks=lambda: (data,), length=len(data), content_type=content_type)


@dataclass(frozen=True)
class Request:
    """One HTTP request, complete with scheme and host.

    ``headers`` may hold secrets and ``query`` may hold SOQL, so neither is shown.
    """

    method: str
    url: str
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | None = None


@dataclass(frozen=True)
class Reply:
    """One HTTP reply. Header names are lower case. ``body`` is empty when it went to a sink."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)


class Sink(Protocol):
    """Where a downloaded body goes. For each try a driver calls ``start``, ``write``…, then ``finish``; and ``discard``
    when the download or one of these has failed.

    ``finish`` checks the body: it raises ``TransportError`` when the body is not whole, and the flow may fetch again from
    the beginning.
    """

    def start(self, reply: Reply) -> None:
        """Start over: forget what an earlier try wrote. ``reply`` has status and headers, no body."""

    def write(self, data: bytes) -> None:
        """Take the next bytes, already decompressed."""

    def finish(self) -> None:
        """Accept the body as whole, or raise."""

    def discard(self) -> None:
        """Drop what this try wrote: it will not be finished."""


@dataclass(frozen=True)
class Authorize:
    """Request a token: the shared one, or a new one when the shared one is ``stale``."""

    stale: Token | None = None


@dataclass(frozen=True)
class Send:
    """Send a request and read its reply into memory, at most ``REPLY_BYTES``."""

    request: Request


@dataclass(frozen=True)
class Fetch:
    """Send a request and stream the body of a 200 reply into ``sink``; other statuses are read like ``Send``'s."""

    request: Request
    sink: Sink


@dataclass(frozen=True)
class Sleep:
    """Wait. The driver takes off up to ``jitter`` (a fraction) at random, so that many waits do not run in step."""

    seconds: float
    jitter: float = 0.0


@dataclass(frozen=True)
class Now:
    """Read a monotonic clock, in seconds."""


@dataclass(frozen=True)
class ReadEntry:
    """Read what is recorded under ``key``, by this try or an earlier one."""

    key: str


@dataclass(frozen=True)
class WriteEntry:
    """Write ``value`` (JSON) durably under ``key``, read it back, and return the recorded value.

    The recorded value may be that of an earlier writer. ``FencedError`` means that this task may no longer send.
    """

    key: str
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Aside:
    """Make a call, for example to show a new job, in the thread that uses the ledger: never two at the same time.

    On an event loop what it returns is awaited, if it can be.
    """

    act: Callable[[], Awaitable[None] | None]


class Ledger(Protocol):
    """Performs ``ReadEntry`` and ``WriteEntry``: one at a time, from one thread."""

    def recall(self, key: str, /) -> Mapping[str, Any] | None:
        """Read what is recorded under ``key``."""

    def record(self, key: str, value: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Write, verify, and return the recorded value."""


@dataclass(frozen=True)
class Concurrently:
    """Run flows at the same time, at most ``limit`` of them.

    ``flows`` is iterated over by one thread as places become free: a generator may build its next flow from data that is
    read only then. After the first error no further flow is started, running ones are allowed to finish, and the error is
    raised.
    """

    flows: Iterable[Flow[Any]]
    limit: int


Effect: TypeAlias = Authorize | Send | Fetch | Sleep | Now | ReadEntry | WriteEntry | Aside | Concurrently
Flow: TypeAlias = Generator[Effect, Any, T]
