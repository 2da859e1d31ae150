"""Ordered work on other threads: Arrow, numpy and hashlib release the interpreter while they compute."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

T = TypeVar("T")

THREADS: Final = min(3, os.cpu_count() or 1)
"""Threads for one stream. More would wait for the interpreter: measured with two and four processors."""

_BEHIND: Final = 4
"""Maximum pending pieces of work of a :class:`BackgroundWriter`."""


def in_order(tasks: Iterable[Callable[[], T]], *, ahead: int = THREADS) -> Generator[T]:
    """Run tasks ahead of the caller, and yield their results in the order of the tasks.

    An error is raised where its task's result would have come; an error of ``tasks`` itself, after all results before it.

    :param ahead: how many tasks run at the same time, or are done but not yet taken
    """
    waiting: deque[Future[T]] = deque()
    failed: Exception | None = None
    source = iter(tasks)
    with ThreadPoolExecutor(ahead, thread_name_prefix="sfbulk-rows") as pool:
        try:
            while failed is None:
                try:
                    task = next(source)
                except StopIteration:
                    break
                except Exception as error:
                    failed = error
                    break
                waiting.append(pool.submit(task))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()
    if failed is not None:
        raise failed


class BackgroundWriter:
    """Does one piece of work after another on its own thread, a few pieces behind the caller."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sfbulk-part")
        self._waiting: deque[Future[Any]] = deque()

    def do(self, work: Callable[[], object]) -> None:
        """Do this next. Raises the error of earlier work."""
        while len(self._waiting) >= _BEHIND:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(work))

    def finish(self) -> None:
        """Wait until all work is done, and end the thread. Raises the error of the work."""
        try:
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self.close()

    def close(self) -> None:
        """End the thread, without the work that has not begun."""
        self._pool.shutdown(cancel_futures=True)
