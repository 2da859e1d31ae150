"""Runs blocking work in threads, so that it does not block an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

THREADS: Final = 256
"""Threads of one event loop at most. They are their own and many: some wait for records that the loop gives, and these
may need the loop's few threads, or one of these, to get further."""

_POOLS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, ThreadPoolExecutor]] = WeakKeyDictionary()


class _Waiting:
    """What a thread waits for on the event loop. The thread cannot be cancelled, but this can."""

    def __init__(self) -> None:
        self._future: Future[Any] | None = None
        self._is_over = False

    def result(self, future: Future[T]) -> T:
        self._future = future
        if self._is_over:  # since cancel() may not have seen the future
            future.cancel()
        return future.result()

    def cancel(self) -> None:
        self._is_over = True
        if self._future is not None:
            self._future.cancel()


_WAITING: Final[ContextVar[_Waiting]] = ContextVar("_WAITING")


async def in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a thread. A cancellation waits for its end, so that no two threads work on the same thing."""
    loop, waiting, context = asyncio.get_running_loop(), _Waiting(), copy_context()
    context.run(_WAITING.set, waiting)
    if (pool := _POOLS.get(loop)) is None:
        pool = _POOLS[loop] = ThreadPoolExecutor(THREADS, thread_name_prefix="sfbulk-beside")
    working = loop.run_in_executor(pool, context.run, work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        waiting.cancel()
        while not working.done():
            with suppress(asyncio.CancelledError):  # another one
                await asyncio.wait([working])
        working.exception()  # which is of no interest, but asyncio would say that nobody has looked
        raise


def on_loop(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """Await something on an event loop from a thread of :func:`in_thread`, and cancel it when that call is cancelled."""
    return _WAITING.get().result(asyncio.run_coroutine_threadsafe(coroutine, loop))
