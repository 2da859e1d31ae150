"""Runs flows with ``requests``, for tasks. It does I/O and makes no decisions.

The adapter of ``requests`` is used without its ``Session``, which would send the credentials of ``~/.netrc`` instead of
our token, keep cookies, and read the body of a redirect that must not be followed. What it would do for us, the proxies
and authorities of the environment, is two lines here. One adapter serves all threads.
"""

from __future__ import annotations

import contextvars
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, Final, Protocol, Self, TypeVar

import requests
import urllib3

from airflow_provider_sfbulk.client.auth.session import Session
from airflow_provider_sfbulk.client.effects import (
    Aside,
    Authorize,
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
from airflow_provider_sfbulk.client.http.door import Door
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
from airflow_provider_sfbulk.client.http.timed_connections import TIME_LIMIT, TimedAdapter
from airflow_provider_sfbulk.client.settings import Settings

T = TypeVar("T")


class Outside(Protocol):
    """Makes a call in the thread that runs the outermost flow."""

    def __call__(self, act: Callable[[], T], /) -> T:
        """Make the call, and return its result or raise its error."""


def _here(act: Callable[[], T], /) -> T:
    return act()


def _by_door(door: Door, outside: Outside, act: Callable[[], T], /) -> T:
    return door.call(partial(outside, act))


_CONNECTIONS: Final = 20
_LOOK_SECONDS: Final = 0.5
"""How often a thread that waits for another thread's login checks whether it has to stop."""

_NEVER_CONNECTED: Final = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
)


class BlockingDriver(Driver):
    """Runs flows in the calling thread. Several threads may use one driver at once.

    :param settings: of the connection
    :param session: the token to share; by default a new one
    :param clock: seconds of a monotonic clock
    :param sleep: waits; by default until the time is over or :meth:`stop` is called
    :param chance: random number from 0 to 1, for jitter
    """

    def __init__(
        self,
        settings: Settings,
        *,
        session: Session | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(settings, session, clock, chance)
        self._login = threading.Lock()
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._adapter = TimedAdapter(_CONNECTIONS)

    def run(self, flow: Flow[T], *, ledger: Ledger | None = None) -> T:
        """Run a flow to its end and return its result.

        :param ledger: performs ``ReadEntry`` and ``WriteEntry``; by default one that lasts for this run only. Only the
            calling thread uses it and performs ``Aside`` and logins, whatever the flow runs at the same time
        :raises SfBulkError: what the flow raises
        """
        return self._run(flow, ledger or MemoryLedger(), _here)

    def _run(self, flow: Flow[T], ledger: Ledger, outside: Outside) -> T:
        """Run a flow.

        :param outside: makes calls in the thread that runs the outermost flow
        """
        result: Any = None
        error: BaseException | None = None
        while True:
            try:
                effect = flow.send(result) if error is None else flow.throw(error)
            except StopIteration as end:
                value: T = end.value
                return value
            result = error = None
            try:
                result = self._perform(effect, ledger, outside)
            except BaseException as raised:  # also a kill: the flow's own cleanup has to run
                error = raised

    def stop(self, reason: str = "stopped") -> None:
        """End every running flow at its next effect, and a pause at once, with ``StoppedError``.

        May be called from a signal handler and from other threads.
        """
        super().stop(reason)
        self._stopped.set()

    def close(self) -> None:
        """Close the connections."""
        self._adapter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _perform(self, effect: Effect, ledger: Ledger, outside: Outside) -> Any:
        self._check()
        result: Any = None
        match effect:
            case Send(request):
                result = self._exchange(request, None)
            case Fetch(request, sink):
                result = self._exchange(request, sink)
            case Authorize(stale):
                result = self._authorize(stale, outside)
            case Sleep():
                self._sleep(self._pause(effect))
                self._check()
            case Now():
                result = self._clock()
            case ReadEntry(key):
                result = outside(partial(ledger.recall, key))
            case WriteEntry(key, value):
                result = outside(partial(ledger.record, key, value))
            case Aside(act):
                outside(act)
            case Concurrently(flows, limit):
                result = self._together(flows, limit, ledger, outside)
        return result

    def _authorize(self, stale: Token | None, outside: Outside) -> Token:
        seen = self._session.logins
        if (token := self._session.token_for(stale, seen)) is not None:
            return token
        return outside(partial(self._log_in, stale, seen))

    def _log_in(self, stale: Token | None, seen: int) -> Token:
        while not self._login.acquire(timeout=_LOOK_SECONDS):
            self._check()
        try:
            return self._session.token_for(stale, seen) or self.run(self._session.renew(stale))
        finally:
            self._login.release()

    def _together(self, flows: Iterable[Flow[Any]], limit: int, ledger: Ledger, outside: Outside) -> list[Any]:
        results: list[Any] = []
        running: dict[Future[Any], int] = {}
        first: BaseException | None = None
        waiting = iter(flows)
        door = Door()
        by_door = partial(_by_door, door, outside)
        with ThreadPoolExecutor(max(1, limit), thread_name_prefix="sfbulk") as pool:
            try:
                while True:
                    try:
                        while first is None and len(running) < max(1, limit):
                            flow = next(waiting)
                            results.append(None)
                            # With the log's context variables, so that log lines of all threads belong to the task.
                            run = partial(self._run, flow, ledger, by_door)
                            future = pool.submit(contextvars.copy_context().run, run)
                            running[future] = len(results) - 1
                            door.watch(future)
                    except StopIteration:
                        waiting = iter(())
                    except BaseException as error:
                        first = error
                    if not running:
                        break
                    future = door.serve()
                    place = running.pop(future)
                    if (error_of := future.exception()) is None:
                        results[place] = future.result()
                    else:
                        first = first or error_of
            finally:
                door.shut()  # before the pool waits for threads that wait at the door
        if first is not None:
            raise first
        return results

    def _exchange(self, request: Request, sink: Sink | None) -> Reply:
        time_limit = self._begin(request)
        with self._sent(request, time_limit) as response:
            receiver = self._receiver(request, sink, response.status_code, response.headers, time_limit)
            try:
                receiver.start()
                for raw in self._body(request, response, time_limit):
                    receiver.feed(raw)
                    if receiver.is_full:
                        break
                return self._session.unsaid(receiver.finish())
            except BaseException as error:
                receiver.discard()
                name(error, request)
                raise

    @contextmanager
    def _sent(self, request: Request, time_limit: TimeLimit) -> Iterator[requests.Response]:
        """Send a request, yield its reply with the body unread, and close it."""
        body = Upload(request.body) if request.body is not None and request.body.length else None
        url = url_of(request)
        proxy = proxy_of(request, self._settings)
        prepared = requests.Request(request.method, url, headers=headers_of(request), data=body).prepare()
        kept = TIME_LIMIT.set(time_limit)
        try:
            response = self._adapter.send(
                prepared,
                stream=True,
                timeout=(connect_seconds(self._settings.timeout), self._settings.timeout),
                # To read the file of authorities takes longer than a request on this machine.
                verify=(url.startswith("https:") and self._authorities) or True,
                proxies={} if proxy is None else {"http": proxy, "https": proxy},
            )
        except requests.exceptions.InvalidSchema:
            raise no_proxy_of_this_kind("PySocks") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise no_reply(request, error, sent=_was_sent(error)) from error
        finally:
            TIME_LIMIT.reset(kept)
        try:
            yield response
        finally:
            response.close()

    @cached_property
    def _authorities(self) -> str | None:
        return authorities(self._settings.ca_file)

    def _body(self, request: Request, response: requests.Response, time_limit: TimeLimit) -> Iterator[bytes]:
        try:
            for raw in response.raw.stream(RAW_BYTES, decode_content=False):
                time_limit.read(len(raw))
                yield raw
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise no_reply(request, error, sent=True) from error


def _was_sent(error: Exception) -> bool:
    """Whether a part of the request may have been sent: not when the connection was never made."""
    inner = error.args[0] if error.args else None
    reason = inner.reason if isinstance(inner, urllib3.exceptions.MaxRetryError) else inner
    return not isinstance(reason, _NEVER_CONNECTED)
