"""The faults that can be asked for by name: ``org.fault("query.results", "drop", call=2)``.

=================== ================================================================== ===============================
kind                what happens                                                       options
=================== ================================================================== ===============================
``status``          an error status with Salesforce's JSON                             ``status``, ``retry_after``,
                                                                                       ``when``
``html``            a page of HTML, as an edge server or a maintenance page has it     ``status`` (200), ``when``
``drop``            the connection is closed without an answer                         ``when``
``slow``            the body comes in pieces with pauses                               ``seconds``, ``piece_bytes``
``cut``             the body ends after so many bytes                                  ``at_byte``, ``honest``
``expired_session`` every session ends as the call comes
``request_limit``   403 ``REQUEST_LIMIT_EXCEEDED``                                     ``concurrent``
``same_locator``    the next page's locator is the one that the call came with
=================== ================================================================== ===============================

``when="after"`` lets the call have its effect first: the caller does not learn of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Literal, get_args

from starlette.responses import HTMLResponse, Response

from airflow_provider_sfbulk.local_org.bulk1.formats import AsyncError
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.faults.calls import Dropped, Exchange, Fault
from airflow_provider_sfbulk.local_org.http.replies import ApiError, OAuthError

Kind = Literal["status", "html", "drop", "slow", "cut", "expired_session", "request_limit", "same_locator"]
When = Literal["before", "after"]

ERRORS: Final = {
    500: (
        "UNKNOWN_EXCEPTION",
        "An unexpected error occurred. Please include this ErrorId if you contact support: 123456-7 (-890)",
    ),
    503: ("SERVER_UNAVAILABLE", "Server too busy"),
}
"""Code and message by status, as they were seen. Other statuses have no documented body: theirs is ours."""

PAGE: Final = (
    "<!DOCTYPE html><html><head><title>Maintenance</title></head><body>We are down for maintenance.</body></html>"
)


class AskedFault(Fault):
    """A fault that strikes some calls, counted from when it was asked for.

    :ivar kind: its name
    :ivar route: the route's name, or a pattern of names
    :ivar struck: how many calls it has broken
    """

    kind: str
    route: str
    struck: int
    _core: Core

    def place(self, core: Core, *, kind: str, route: str, call: int, times: int | None) -> None:
        """Say which calls it strikes."""
        if not _is_number(call, 1) or not (times is None or _is_number(times, 1)):
            raise ValueError("call and times count from 1")
        self.kind = kind
        self.route = route
        self.struck = 0
        self._core = core
        self._first = call
        self._times = times
        self._calls = 0

    def strikes(self, exchange: Exchange) -> bool:
        """Count the call, and say whether it is one of those to break."""
        if not self.concerns(exchange):
            return False
        self._calls += 1
        struck = self._first <= self._calls and (self._times is None or self._calls < self._first + self._times)
        self.struck += struck
        return struck

    def concerns(self, exchange: Exchange) -> bool:  # noqa: ARG002 - for those that override it
        """Whether the call counts at all."""
        return True


class _Answer(AskedFault):
    """Another answer instead of the org's."""

    when: When = "before"

    async def before(self, exchange: Exchange) -> Response | None:
        return self.answer(exchange) if self.when == "before" else None

    async def after(self, exchange: Exchange, response: Response) -> Response:
        return self.answer(exchange) if self.when == "after" else response

    def answer(self, exchange: Exchange) -> Response:
        raise NotImplementedError


class StatusFault(_Answer):
    """An error status."""

    def __init__(self, *, status: int = 503, retry_after: int | str | None = None, when: When = "before") -> None:
        """:param retry_after: seconds, or a date as HTTP writes it"""
        if not _is_number(status, 400) or status > 599:
            raise ValueError("status is an error's: 400 to 599")
        self.status, self.when = status, _when(when)
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    def answer(self, exchange: Exchange) -> Response:
        if exchange.route.startswith("soap."):
            # Its own faults are of status 500 and about the login; what stands before it answers as to a browser.
            return HTMLResponse(PAGE, status_code=self.status, headers=self.headers)
        code, message = ERRORS.get(self.status, ("UNKNOWN_EXCEPTION", f"The local org was asked for a {self.status}"))
        raise _refusal(exchange, self.status, code, message, headers=self.headers)


class HtmlFault(_Answer):
    """A page for people."""

    def __init__(self, *, status: int = 200, when: When = "before") -> None:
        if not _is_number(status, 200) or status > 599:
            raise ValueError("status is 200 to 599")
        self.status, self.when = status, _when(when)

    def answer(self, exchange: Exchange) -> Response:  # noqa: ARG002 - the same of every call
        return HTMLResponse(PAGE, status_code=self.status)


class DropFault(_Answer):
    """No answer."""

    def __init__(self, *, when: When = "before") -> None:
        self.when = _when(when)

    def answer(self, exchange: Exchange) -> Response:  # noqa: ARG002 - the same of every call
        raise Dropped


class _Uncompressed(AskedFault):
    """A fault on the bytes as the client gets them: the answer must not be compressed behind it."""

    async def after(self, exchange: Exchange, response: Response) -> Response:  # noqa: ARG002 - as the seam has it
        response.headers["Content-Encoding"] = "identity"
        return response


class SlowFault(_Uncompressed):
    """A body in pieces."""

    keeps_length = True

    def __init__(self, *, seconds: float = 1.0, piece_bytes: int | None = None) -> None:
        """:param seconds: real ones, before each piece
        :param piece_bytes: None: the whole body in one piece, or in the pieces that the org makes of a large one
        """
        if not isinstance(seconds, int | float) or seconds < 0:
            raise ValueError("seconds is a number from 0")
        if piece_bytes is not None and not _is_number(piece_bytes, 1):
            raise ValueError("piece_bytes is a whole number from 1")
        self.seconds, self.piece_bytes = seconds, piece_bytes

    async def body(self, exchange: Exchange, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:  # noqa: ARG002 - as the seam has it
        async for chunk in chunks:
            size = self.piece_bytes or len(chunk) or 1
            for start in range(0, len(chunk), size):
                await asyncio.sleep(self.seconds)
                yield chunk[start : start + size]


class CutFault(_Uncompressed):
    """A body that ends early."""

    def __init__(self, *, at_byte: int = 0, honest: bool = False) -> None:
        """:param honest: end the answer as if it were whole; otherwise the connection closes in the middle of it"""
        if not _is_number(at_byte, 0):
            raise ValueError("at_byte is a whole number from 0")
        self.at_byte, self.honest = at_byte, bool(honest)
        self.keeps_length = not honest

    async def body(self, exchange: Exchange, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:  # noqa: ARG002 - as the seam has it
        left = self.at_byte
        async for chunk in chunks:
            yield chunk[:left]
            left -= len(chunk)
            if left < 0:
                break
        else:
            return
        if not self.honest:
            raise Dropped


class ExpiredSessionFault(AskedFault):
    """Sessions that end."""

    async def before(self, exchange: Exchange) -> Response | None:  # noqa: ARG002 - as the seam has it
        self._core.sessions.expire_all()
        return None


class RequestLimitFault(AskedFault):
    """Calls used up."""

    def __init__(self, *, concurrent: bool = False) -> None:
        """:param concurrent: too many at once, which passes; otherwise the day's are used up"""
        self.message = (
            "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
            if concurrent
            else "TotalRequests Limit exceeded."
        )

    async def before(self, exchange: Exchange) -> Response | None:
        raise _refusal(exchange, 403, "REQUEST_LIMIT_EXCEEDED", self.message)


class SameLocatorFault(AskedFault):
    """A page that leads to itself. Calls without a locator do not count."""

    def concerns(self, exchange: Exchange) -> bool:
        return "locator" in exchange.query

    async def after(self, exchange: Exchange, response: Response) -> Response:
        if "Sforce-Locator" in response.headers:
            response.headers["Sforce-Locator"] = exchange.query["locator"]
        return response


_KINDS: Final[dict[str, type[AskedFault]]] = {
    "status": StatusFault,
    "html": HtmlFault,
    "drop": DropFault,
    "slow": SlowFault,
    "cut": CutFault,
    "expired_session": ExpiredSessionFault,
    "request_limit": RequestLimitFault,
    "same_locator": SameLocatorFault,
}
assert set(get_args(Kind)) == set(_KINDS)


def ask(
    core: Core,
    route: str,
    kind: str,
    *,
    known_route: Callable[[str], bool],
    call: int = 1,
    times: int | None = 1,
    **options: Any,
) -> AskedFault:
    """Make a fault and bind it.

    :param known_route: whether a pattern of route names means any route
    :param call: the first call to break, counted from now; 1 is the next one
    :param times: how many calls in a row; None is all
    :raises ValueError: for a kind, route or option that does not exist
    """
    made = _KINDS.get(kind) if isinstance(kind, str) else None
    if made is None:
        raise ValueError(f"no fault is called {kind!r}; there are {', '.join(_KINDS)}")
    if not known_route(route):
        raise ValueError(f"no route is called {route!r}")
    try:
        fault = made(**options)
    except TypeError as error:
        raise ValueError(f"a {kind} fault does not take these options: {', '.join(options)}") from error
    fault.place(core, kind=kind, route=route, call=call, times=times)
    core.faults.add(route, fault)
    return fault


def _refusal(
    exchange: Exchange, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
) -> ApiError | OAuthError:
    """Return an error in the format of the call's part of Salesforce. Codes of Bulk API 1.0 for this are not known."""
    if exchange.route.startswith("oauth."):
        return OAuthError("server_error", message, status=status, headers=headers)
    if not exchange.route.startswith("bulk1."):
        return ApiError(status, code, message, headers=headers)
    in_async = AsyncError("ExceededQuota" if status == 403 else "InternalServerError", message, status=status)
    in_async.headers.update(headers or {})
    return in_async


def _when(when: When) -> When:
    if when not in get_args(When):
        raise ValueError("when is 'before' or 'after' the call's effect")
    return when


def _is_number(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
