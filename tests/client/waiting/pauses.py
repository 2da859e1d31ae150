"""Pauses of the client that do not last: what they would wait for has come, or will not come in a test.

A plugin of pytest, too: ``-p tests.client.waiting.pauses`` shortens them in a process that runs tests of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

LONGEST_SECONDS: Final = 0.02


def shorten(replace: Callable[[Any, str, Any], None] = setattr) -> None:
    """Let no pause of either driver last, unless it is given a way to sleep.

    :param replace: sets an attribute of a class
    """
    # Here, so that what is to be changed before it is imported can be (``tests.parity.mutate``).
    from airflow_provider_sfbulk.client.http.aio import AsyncDriver
    from airflow_provider_sfbulk.client.http.blocking import BlockingDriver

    def sleep(self: BlockingDriver, seconds: float) -> None:
        self._stopped.wait(min(seconds, LONGEST_SECONDS))

    blocking, asynchronous = BlockingDriver.__init__, AsyncDriver.__init__

    def init_blocking(self: BlockingDriver, *given: Any, **named: Any) -> None:
        blocking(self, *given, **{"sleep": partial(sleep, self), **named})

    def init_asynchronous(self: AsyncDriver, *given: Any, **named: Any) -> None:
        asynchronous(self, *given, **{"sleep": sleep_briefly, **named})

    replace(BlockingDriver, "__init__", init_blocking)
    replace(AsyncDriver, "__init__", init_asynchronous)


async def sleep_briefly(seconds: float) -> None:
    """Sleep, but not long."""
    await asyncio.sleep(min(seconds, LONGEST_SECONDS))


def pytest_configure() -> None:
    """Shorten them for all tests of a process."""
    shorten()
