"""Runs all calls that concurrent flows make into the caller's framework on one thread, the caller's own.

A ledger, a log's masker or a progress page may belong to a framework that talks to its server from a single thread:
Airflow's ``dag.test()`` takes its connection away while it is in use, and a call from a second thread fails at that
moment. So a flow's own thread sends requests and writes files, and every other call goes through a *door* to the
caller's thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from airflow_provider_sfbulk.client.errors import StoppedError

T = TypeVar("T")


class Door:
    """Accepts calls from many threads; one thread makes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_shut = False
        self._waiting: SimpleQueue[Future[Any] | tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()

    def call(self, act: Callable[[], T]) -> T:
        """Have a call made, and wait for its result.

        :raises StoppedError: calls are no longer made
        """
        result: Future[T] = Future()
        with self._lock:
            if self._is_shut:
                raise _ended()
            self._waiting.put((act, result))
        return result.result()

    def watch(self, work: Future[Any]) -> None:
        """Make :meth:`serve` return this when it is done."""
        work.add_done_callback(self._waiting.put)

    def serve(self) -> Future[Any]:
        """Make calls as they come, until some watched work is done; return that work."""
        while not isinstance(each := self._waiting.get(), Future):
            act, result = each
            try:
                result.set_result(act())
            except BaseException as error:
                result.set_exception(error)
                if not isinstance(error, Exception):
                    raise  # a kill is meant for this thread, too
        return each

    def shut(self) -> None:
        """Refuse further calls. Threads that wait for a call, or request one, get an error."""
        with self._lock:
            self._is_shut = True
        while not self._waiting.empty():
            each = self._waiting.get()
            if not isinstance(each, Future):
                each[1].set_exception(_ended())


def _ended() -> StoppedError:
    return StoppedError("the thread that runs this flow has ended")
