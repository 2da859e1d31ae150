"""The seam where a test can break things: every call passes here before its effect, after it, and with its answer.

A fault is bound to a route of the table in ``routes`` by the route's name, or by a pattern like ``ingest.*``. What it
may do:

- ``before``: answer in the org's place, so that the call has no effect;
- ``after``: answer something else although the call had its effect, or raise :class:`Dropped` to say nothing at all;
- ``body``: change the bytes of the answer on their way, and :class:`Dropped` there cuts the connection in the middle.

``before`` and ``after`` may also raise an ``ApiError``, which becomes an answer in the route's own format. The faults
that users ask for by name are in ``fault_kinds``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from starlette.responses import Response


class Dropped(Exception):
    """The connection is closed without a further byte."""


@dataclass(frozen=True)
class Exchange:
    """One call as a fault sees it: its route's name, how manyth call of that route it is (from 1), method, path and
    query parameters."""

    route: str
    number: int
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)


class Fault:
    """Does nothing; faults override what they break.

    :cvar keeps_length: whether an answer whose bytes are changed goes on announcing its old length
    """

    keeps_length = False

    def strikes(self, exchange: Exchange) -> bool:  # noqa: ARG002 - for those that override it
        """Whether the call is one to break. Asked once a call, before anything else."""
        return True

    async def before(self, exchange: Exchange) -> Response | None:  # noqa: ARG002 - for those that override it
        """Return an answer to give in the org's place, or None."""
        return None

    async def after(self, exchange: Exchange, response: Response) -> Response:  # noqa: ARG002 - for those that override it
        """Return the answer to give."""
        return response

    def body(self, exchange: Exchange, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:  # noqa: ARG002 - for those that override it
        """Return the answer's bytes."""
        return chunks


class Faults:
    """The faults of an org, by route."""

    def __init__(self) -> None:
        self._faults: list[tuple[str, Fault]] = []
        self._calls: dict[str, int] = {}

    def add(self, route: str, fault: Fault) -> None:
        """Bind a fault to a route's name or a pattern of names; ``*`` is every route."""
        self._faults.append((route, fault))

    def __iter__(self) -> Iterator[Fault]:
        return iter([fault for _, fault in self._faults])

    def clear(self) -> None:
        """Drop all faults."""
        self._faults.clear()

    def exchange(self, route: str, method: str, path: str, query: Mapping[str, str]) -> Exchange:
        """Count a call."""
        self._calls[route] = self._calls.get(route, 0) + 1
        return Exchange(route, self._calls[route], method, path, query)

    def of(self, exchange: Exchange) -> list[Fault]:
        """Return the faults that a call passes."""
        return [
            fault
            for route, fault in list(self._faults)
            if fnmatchcase(exchange.route, route) and fault.strikes(exchange)
        ]
