"""The org's HTTP side: one function that every call passes, in this order.

route → fault before → version → session → API call counted → handler → fault after → ``Sforce-Limit-Info`` → fault on
the body
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from email.utils import format_datetime

from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_sfbulk.local_org.control import Control
from airflow_provider_sfbulk.local_org.core import Call, Core
from airflow_provider_sfbulk.local_org.faults.calls import Dropped, Exchange, Fault
from airflow_provider_sfbulk.local_org.http import loopback_routes, routes
from airflow_provider_sfbulk.local_org.http.incoming import Incoming
from airflow_provider_sfbulk.local_org.http.replies import ApiError, OAuthError

log = logging.getLogger(__name__)

NO_ANSWER = 0
"""Status of a call that got none: the caller hung up first, or a fault did."""


class _Spelled(dict[bytes, bytes]):
    """A header's name in lower case to how Salesforce writes it, which some clients insist on."""

    def __missing__(self, name: bytes) -> bytes:
        self[name] = name.title()
        return self[name]


_SPELLED = _Spelled({b"sforce-numberofrecords": b"Sforce-NumberOfRecords", b"www-authenticate": b"WWW-Authenticate"})

_COMPRESSION_LEVEL = 1
"""The lowest: time matters more here than size."""


def application(core: Core, control: Control) -> ASGIApp:
    """Return the org as an ASGI application."""

    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        await _serve(core, scope, receive, send)

    compressing = GZipMiddleware(plain, compresslevel=_COMPRESSION_LEVEL)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if loopback_routes.is_own(scope["path"]):
            response = await loopback_routes.answer(control, Request(scope, receive))
            await response(scope, receive, send)
            return

        async def send_spelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [(_SPELLED[name], value) for name, value in message["headers"]]
            await send(message)

        try:
            await (compressing if core.compress else plain)(scope, receive, send_spelled)
        except Dropped:
            await _hang_up(receive, send)

    return app


async def _hang_up(receive: Receive, send: Send) -> None:
    """Close the connection: what was sent so far arrives, nothing else does.

    ASGI has no word for it and uvicorn would answer 500, so this takes uvicorn's transport from behind ``send``.
    """
    transport = send.__self__.transport  # type: ignore[attr-defined]
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _serve(core: Core, scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    try:
        response = await _answer(core, request)
    except (ClientDisconnect, Dropped) as gone:
        core.calls.append(Call(request.method, path, NO_ANSWER))
        if isinstance(gone, Dropped):
            raise
        return
    # Before the answer goes out: who has the answer finds its call in the list.
    core.calls.append(Call(request.method, path, response.status_code))
    await response(scope, receive, send)


async def _answer(core: Core, request: Request) -> Response:
    call = Incoming(core, request)
    faults: list[Fault] = []
    exchange = None
    try:
        # For clients whose HTTP library has no PATCH: POST with "?_HttpMethod=PATCH".
        method = request.query_params.get("_HttpMethod", request.method) if request.method == "POST" else request.method
        route, call.parts = routes.find(method, request.url.path)
        exchange = core.faults.exchange(route.name, method, request.url.path, request.query_params)
        faults = core.faults.of(exchange)
        response = await _before(faults, exchange) or await _handle(call, route)
    except (ApiError, OAuthError) as refusal:
        response = refusal.response()
    except (ClientDisconnect, Dropped):
        raise
    except Exception as error:
        log.exception("%s %s", request.method, request.url.path)
        core.mistakes.append(error)
        message = "An unexpected error occurred. Please include this ErrorId if you contact support: local-org"
        response = ApiError(500, "UNKNOWN_EXCEPTION", message).response()
    if exchange is not None:
        response = await _after(faults, exchange, response)
    response.headers["Date"] = format_datetime(core.clock.now(), usegmt=True)
    if "version" in call.parts:
        response.headers["Sforce-Limit-Info"] = core.usage.header
    return response if exchange is None else _with_body_faults(faults, exchange, response)


async def _before(faults: list[Fault], exchange: Exchange) -> Response | None:
    for fault in faults:
        response = await fault.before(exchange)
        if response is not None:
            return response
    return None


async def _after(faults: list[Fault], exchange: Exchange, response: Response) -> Response:
    for fault in faults:
        try:
            response = await fault.after(exchange, response)
        except (ApiError, OAuthError) as refusal:
            response = refusal.response()
    return response


async def _handle(call: Incoming, route: routes.Route) -> Response:
    if "version" in call.parts:
        if call.is_on_login_host:
            message = "Destination URL not reset. The URL returned from login must be set"
            raise ApiError(400, "URL_NOT_RESET", message)
        routes.check_version(route, call.version)
    if not route.is_open:
        call.session()
        if not call.core.usage.api_requests.take() and call.core.usage.refuse_calls:
            raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    return await route.handler(call)


def _with_body_faults(faults: list[Fault], exchange: Exchange, response: Response) -> Response:
    changing = [fault for fault in faults if type(fault).body is not Fault.body]
    if not changing:
        return response
    chunks = response.body_iterator if isinstance(response, StreamingResponse) else _one(bytes(response.body))
    for fault in changing:
        chunks = fault.body(exchange, _as_bytes(chunks))
    keeps_length = all(fault.keeps_length for fault in changing)
    headers = {name: value for name, value in response.headers.items() if keeps_length or name != "content-length"}
    return StreamingResponse(chunks, status_code=response.status_code, headers=headers)


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _as_bytes(chunks: object) -> AsyncIterator[bytes]:
    async for chunk in chunks:  # type: ignore[attr-defined]
        yield chunk.encode() if isinstance(chunk, str) else bytes(chunk)
