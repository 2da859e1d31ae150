"""Runs flows with ``httpx`` on an event loop, for triggers. It does I/O and makes no decisions.

The loop belongs to all triggers of a process, so nothing here may block it: logins (which sign, and read key files) and
all work of a body's sink or source run in threads.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import cached_property, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from inspect import isawaitable
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import certifi
import httpx

from airflow_provider_sfbulk.client.auth.session import Session
from airflow_provider_sfbulk.client.effects import (
    Aside,
    Authorize,
    Body,
    Concurrently,
    Effect,
    Fetch,
    Flow,
    Ledger,
    Now,
    ReadEntry,
    Reply,
    Request,
    Send,
    Sink,
    Sleep,
    Token,
    WriteEntry,
)
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.http.beside import in_thread as _in_thread
from airflow_provider_sfbulk.client.http.driver import Driver
from airflow_provider_sfbulk.client.http.exchange import (
    RAW_BYTES,
    Upload,
    authorities,
    headers_of,
    name,
    no_reply,
    url_of,
)
from airflow_provider_sfbulk.client.http.memory_ledger import MemoryLedger
from airflow_provider_sfbulk.client.http.proxies import no_proxy_of_this_kind, proxy_of
from airflow_provider_sfbulk.client.http.time_limit import TimeLimit, connect_seconds
from airflow_provider_sfbulk.client.settings import Settings

T = TypeVar("T")

_NEVER_CONNECTED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_END: Final = object()
_SENT_BYTES: Final = 64 * 1024
"""Bytes given to the network at a time: once they are taken, the exchange is alive."""


class AsyncDriver(Driver):
    """Runs flows on one event loop. Several tasks of it may use one driver at once.

    :param settings: of the connection
    :param session: the token to share; by default a new one
    :param clock: seconds of a monotonic clock
    :param sleep: waits
    :param chance: random number from 0 to 1, for jitter
    """

    def __init__(
        self,
        settings: Settings,
        *,
        session: Session | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(settings, session, clock, chance)
        self._sleep = sleep
        self._login = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._clients: dict[str, httpx.AsyncClient] = {}
        """By host: each may have its own proxy, or none."""
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, flow: Flow[T], *, ledger: Ledger | None = None, in_thread: bool = False) -> T:
        """Run a flow to its end and return its result.

        :param ledger: performs ``ReadEntry`` and ``WriteEntry``, in threads; by default one that lasts for this run only
        :param in_thread: run the flow's own code in threads, too: for flows that read, encode or decode records
        :raises SfBulkError: what the flow raises
        """
        return await self._run(flow, ledger or MemoryLedger(), in_thread=in_thread)

    async def close(self) -> None:
        """Close the connections."""
        while self._clients:
            await self._clients.popitem()[1].aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, flow: Flow[T], ledger: Ledger, *, in_thread: bool) -> T:
        result: Any = None
        error: BaseException | None = None
        while True:
            # Neither StopIteration nor a cancellation can leave a thread as it is: the step turns them into values.
            step = partial(_step, flow, result, error)
            try:
                effect, value, raised = await _in_thread(step) if in_thread else step()
            except asyncio.CancelledError as cancelled:
                result, error = None, cancelled  # between two steps: the flow's own cleanup has to run
                continue
            if raised is not None:
                raise raised
            if effect is None:
                ended: T = value
                return ended
            result = error = None
            try:
                result = await self._perform(effect, ledger)
            except BaseException as raised:  # also a cancellation: the flow's own cleanup has to run
                error = raised

    async def _perform(self, effect: Effect, ledger: Ledger) -> Any:
        self._check()
        result: Any = None
        match effect:
            case Send(request):
                result = await self._exchange(request, None)
            case Fetch(request, sink):
                result = await self._exchange(request, sink)
            case Authorize(stale):
                result = await self._authorize(stale)
            case Sleep():
                await self._sleep(self._pause(effect))
                self._check()
            case Now():
                result = self._clock()
            case ReadEntry(key):
                result = await _in_thread(partial(ledger.recall, key))
            case WriteEntry(key, value):
                result = await _in_thread(partial(ledger.record, key, value))
            case Aside(act):
                if isawaitable(acting := act()):
                    await acting
            case Concurrently(flows, limit):
                result = await self._together(flows, limit, ledger)
        return result

    async def _authorize(self, stale: Token | None) -> Token:
        seen = self._session.logins
        async with self._login:
            token = self._session.token_for(stale, seen)
            if token is None:
                token = await self._run(self._session.renew(stale), MemoryLedger(), in_thread=True)
            return token

    async def _together(self, flows: Iterable[Flow[Any]], limit: int, ledger: Ledger) -> list[Any]:
        results: list[Any] = []
        running: dict[asyncio.Task[Any], int] = {}
        first: BaseException | None = None
        waiting: Iterator[Any] = iter(flows)
        try:
            while True:
                try:
                    while first is None and len(running) < max(1, limit):
                        flow = await _in_thread(partial(next, waiting, _END))
                        if flow is _END:
                            waiting = iter(())
                            break
                        results.append(None)
                        running[asyncio.create_task(self.run(flow, ledger=ledger))] = len(results) - 1
                except Exception as error:
                    first = error
                if not running:
                    break
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    place = running.pop(task)
                    if task.cancelled():
                        first = first or asyncio.CancelledError()
                    elif (error_of := task.exception()) is not None:
                        first = first or error_of
                    else:
                        results[place] = task.result()
        except BaseException:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            raise
        if first is not None:
            raise first
        return results

    async def _exchange(self, request: Request, sink: Sink | None) -> Reply:
        time_limit = self._begin(request)
        async with self._sent(request, time_limit) as response:
            receiver = self._receiver(request, sink, response.status_code, response.headers, time_limit)
            # A sink works beside the loop; a body that stays in memory needs no thread.
            beside = _in_thread if receiver.is_fetched else _here
            try:
                await beside(receiver.start)
                async for raw in _body(request, response, time_limit):
                    await beside(partial(receiver.feed, raw))
                    if receiver.is_full:
                        break
                return self._session.unsaid(await beside(receiver.finish))
            except BaseException as error:
                await beside(receiver.discard)
                name(error, request)
                raise

    @asynccontextmanager
    async def _sent(self, request: Request, time_limit: TimeLimit) -> AsyncIterator[httpx.Response]:
        """Send a request, yield its reply with the body unread, and close it."""
        client = await self._opened(request)
        try:
            async with _keeping(time_limit) as timer:
                body = request.body
                content = _pieces(body, time_limit, timer) if body is not None and body.length else None
                prepared = client.build_request(
                    request.method, url_of(request), headers=headers_of(request), content=content
                )
                response = await client.send(prepared, stream=True)
        except (httpx.HTTPError, OSError) as error:
            raise no_reply(request, error, sent=not isinstance(error, _NEVER_CONNECTED)) from error
        except (httpx.InvalidURL, UnicodeError) as error:  # for example a host with invalid punycode
            raise no_reply(request, error, sent=False) from error
        try:
            yield response
        finally:
            await response.aclose()

    async def _opened(self, request: Request) -> httpx.AsyncClient:
        host = urlsplit(request.url).netloc
        async with self._opening:
            if self._clients and self._loop is not asyncio.get_running_loop():
                raise SourceError(
                    "the client's connections belong to another event loop, and each asyncio.run makes a new one: make a "
                    "client for each, or close this one before its loop ends"
                )
            if host not in self._clients:
                self._loop = asyncio.get_running_loop()
                self._clients[host] = await asyncio.to_thread(self._client_for, request)
            return self._clients[host]

    def _client_for(self, request: Request) -> httpx.AsyncClient:
        """Make the client for a host. No cookie is kept, no .netrc read, no redirect followed and nothing repeated."""
        proxy = proxy_of(request, self._settings)
        try:
            return httpx.AsyncClient(
                verify=self._trusted,
                timeout=httpx.Timeout(None, connect=connect_seconds(self._settings.timeout)),
                follow_redirects=False,
                http2=False,
                trust_env=False,
                proxy=proxy,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
        except (ImportError, ValueError):
            raise no_proxy_of_this_kind("httpx[socks]") from None

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        return _trusting(self._settings.ca_file)


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    place = authorities(ca_file) or certifi.where()
    if Path(place).is_dir():
        return ssl.create_default_context(capath=place)
    return ssl.create_default_context(cafile=place)


def _step(flow: Flow[T], result: Any, error: BaseException | None) -> tuple[Effect | None, Any, BaseException | None]:
    """Advance a flow. Return its next effect, or None and its result, or None and what it raises."""
    try:
        return (flow.send(result) if error is None else flow.throw(error)), None, None
    except StopIteration as end:
        return None, end.value, None
    except BaseException as raised:
        return None, None, raised


async def _here(work: Callable[[], T]) -> T:
    return work()


@asynccontextmanager
async def _keeping(time_limit: TimeLimit) -> AsyncIterator[asyncio.Timeout]:
    """End the block when the exchange's time is over.

    :raises TooSlowError: the time is over
    """
    try:
        async with asyncio.timeout(time_limit.left()) as timer:
            yield timer
    except TimeoutError as error:
        raise time_limit.error() from error


async def _pieces(body: Body, time_limit: TimeLimit, timer: asyncio.Timeout) -> AsyncIterator[bytes]:
    """Yield a body's pieces. Each that was taken gives the exchange more time."""
    pieces = iter(Upload(body))
    while (piece := await _in_thread(partial(next, pieces, None))) is not None:
        for at in range(0, len(piece), _SENT_BYTES):
            sent = piece[at : at + _SENT_BYTES]
            yield sent
            time_limit.sent(len(sent))
            timer.reschedule(asyncio.get_running_loop().time() + time_limit.left())


async def _body(request: Request, response: httpx.Response, time_limit: TimeLimit) -> AsyncIterator[bytes]:
    """Yield a body as it comes, in pieces of ``RAW_BYTES`` while it comes fast."""
    stream = response.aiter_raw()
    kept: list[bytes] = []
    size = 0
    try:
        while True:
            begun = time.monotonic()
            async with _keeping(time_limit):
                raw = await anext(stream, b"")
            time_limit.read(len(raw))
            time_limit.received(len(raw), time.monotonic() - begun)
            kept += [raw] if raw else []
            size += len(raw)
            if size >= RAW_BYTES or (kept and not raw):
                yield b"".join(kept)
                kept, size = [], 0
            if not raw:
                return
    except (httpx.HTTPError, OSError) as error:
        raise no_reply(request, error, sent=True) from error
