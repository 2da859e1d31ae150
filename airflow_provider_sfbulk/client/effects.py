"""What flows ask for and what they are sent back.

A *flow* is a generator that decides and does no I/O: it yields effects and is sent their results. A *driver*
(``http/``) performs the effects, blocking or asynchronously; a failed effect is raised inside the flow, at the
yield. So there is one copy of every decision, it can be tested with no socket and no clock, and a simulator can stop it
at every effect.

==================  ============================================  ==================================================
effect              result                                        raised at the yield
==================  ============================================  ==================================================
``Authorize``       ``Token``                                     ``LoginError``, ``TransientError``
``Send``            ``Reply``, any status                         ``TransportError``
``Fetch``           ``Reply``; a 200's body went to the sink      ``TransportError``, what the sink raises
``Sleep``           None
``Now``             seconds of a monotonic clock
``ReadEntry``       the recorded value, or None                   ``LedgerError``
``WriteEntry``      the value that stands, verified               ``LedgerError``
``Aside``           None                                          what the call raises
``Concurrently``    list of the flows' results, in their order    the first error, once the others have stopped
==================  ============================================  ==================================================
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

REPLY_BYTES: Final = 16 * 1024 * 1024
"""Bytes that a driver reads of a reply it must hold in memory, at most: a job list page is some 600 kB, the describe
of an object with 800 fields some 2 MB. More is refused as a ``ProtocolError``: a reply is distrusted until proven."""

ERROR_BYTES: Final = 128 * 1024
"""Bytes that are read of a refusal: Salesforce's are some hundred bytes, a maintenance page some ten thousand."""

FETCH_BYTES: Final = 10_000_000_000
"""Bytes, decompressed, of one download. Salesforce's largest result files are 1 GB (``limits.RESULT_FILE_BYTES``)."""


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

    :param chunks: called for each sending; gives the body's bytes in pieces
    :param length: bytes of all pieces together
    :param content_type: value of the ``Content-Type`` header
    """

    chunks: Callable[[], Iterable[bytes]]
    length: int
    content_type: str

    @classmethod
    def of(cls, data: bytes, content_type: str) -> Body:
        """Make a body of bytes that lie in memory."""
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

    ``finish`` is the place for proof: it raises ``TransportError`` when what came is not whole, and the flow may fetch
    again from the beginning.
    """

    def start(self, reply: Reply) -> None:
        """Begin anew: forget what an earlier try wrote. ``reply`` has status and headers, no body."""

    def write(self, data: bytes) -> None:
        """Take the next bytes, already decompressed."""

    def finish(self) -> None:
        """Accept the body as whole, or raise."""

    def discard(self) -> None:
        """Drop what this try wrote: it will not be finished."""


@dataclass(frozen=True)
class Authorize:
    """Ask for a token: the shared one, or a new one when the shared one is ``stale``."""

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
    """Wait. The driver takes off up to ``jitter`` (a fraction) at random, so that many waiters do not march in step."""

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
    """Write ``value`` (JSON) durably under ``key``, read it back, and return the value that stands.

    The value that stands may be another one: an earlier writer's. ``FencedError`` means that this task may no longer
    send.
    """

    key: str
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Aside:
    """Make a call, as to show a new job: where the ledger is used, so never two of them at the same time."""

    act: Callable[[], None]


class Ledger(Protocol):
    """What performs ``ReadEntry`` and ``WriteEntry``: one at a time, from one thread."""

    def recall(self, key: str, /) -> Mapping[str, Any] | None:
        """Read what is recorded under ``key``."""

    def record(self, key: str, value: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Write, verify, and return the value that stands."""


@dataclass(frozen=True)
class Concurrently:
    """Run flows at the same time, at most ``limit`` of them.

    ``flows`` is pulled one by one, in the order given and by one thread, as places become free: a generator may build
    its next flow from data that is read only then. After the first error no further flow is started, the ones that run
    are allowed to finish, and the error is raised.
    """

    flows: Iterable[Flow[Any]]
    limit: int


Effect: TypeAlias = Authorize | Send | Fetch | Sleep | Now | ReadEntry | WriteEntry | Aside | Concurrently
Flow: TypeAlias = Generator[Effect, Any, T]
