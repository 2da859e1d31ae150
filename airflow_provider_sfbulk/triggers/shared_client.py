"""The client that all waits of a connection share, which follows the connection when somebody edits it.

A watch may last for months, and a task reads its connection whenever it runs. So if the connection leads to another org
or user by now, the jobs of the next task are not where the watch looks for them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_sfbulk.client.effects import Authorize, Flow
from airflow_provider_sfbulk.client.errors import LoginError, SfBulkError, SourceError, TransientError
from airflow_provider_sfbulk.client.waiting.schedule import CALL_SECONDS, FRESH_SECONDS, REREAD_SECONDS

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.http.aio import AsyncDriver
    from airflow_provider_sfbulk.client.settings import Settings
    from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook

log = logging.getLogger(__name__)


class SharedClient:
    """A driver for a connection, opened with its first use.

    :param hook: reads the connection
    """

    def __init__(self, hook: SalesforceBulkHook) -> None:
        self._hook = hook
        self._opening = asyncio.Lock()
        self._drivers = AsyncExitStack()
        self._driver: AsyncDriver | None = None
        self._read_at = 0.0
        self._refused: Settings | None = None
        """Settings whose login was refused: not tried again, since a few wrong passwords lock a user out."""

    async def opened(self) -> AsyncDriver:
        """Return the driver.

        :raises SfBulkError: there is none yet, and the connection cannot be read
        """
        async with self._opening:
            if self._driver is None:
                self._driver = await self._drivers.enter_async_context(await self._read())
            elif time.monotonic() - self._read_at >= REREAD_SECONDS:
                await self._follow()
            return self._driver

    async def is_outdated(self, driver: AsyncDriver) -> bool:
        """Whether the connection was edited, so that what this driver was refused may be granted to another one."""
        async with self._opening:
            if self._driver is driver and time.monotonic() - self._read_at >= FRESH_SECONDS:
                await self._follow()
            return self._driver is not driver

    def drop(self) -> None:
        """Read the connection again with the next use: its login is refused."""
        self._driver = None

    async def close(self) -> None:
        """Close all connections."""
        await self._drivers.aclose()

    async def _read(self) -> AsyncDriver:
        self._read_at = time.monotonic()
        try:
            return await self._hook.get_async_driver()
        except SfBulkError:
            raise
        except AirflowNotFoundException as error:
            raise SourceError(f"Airflow has no connection {self._hook.salesforce_conn_id!r}") from error
        except Exception as error:
            # Airflow's API server, or a secrets backend, may be down.
            raise TransientError(
                f"the connection {self._hook.salesforce_conn_id!r} cannot be read ({type(error).__name__})"
            ) from error

    async def _follow(self) -> None:
        """Use the connection as it is now, once its login works; until then, as it was."""
        assert self._driver is not None
        try:
            async with asyncio.timeout(CALL_SECONDS):
                driver = await self._read()
                if driver.settings in (self._driver.settings, self._refused):
                    return
                await self._drivers.enter_async_context(driver)
                try:
                    await driver.run(_sign_in())
                except LoginError:
                    self._refused = driver.settings
                    raise
        except (SfBulkError, TimeoutError) as error:
            said = error if isinstance(error, SfBulkError) else f"no answer in {CALL_SECONDS:g} s"
            log.warning(
                "the connection %s cannot be used as it is now, so its jobs are polled as before: %s",
                self._hook.salesforce_conn_id,
                said,
            )
            return
        log.info("the connection %s was edited: its jobs are polled as it is now", self._hook.salesforce_conn_id)
        self._driver = driver


def _sign_in() -> Flow[None]:
    yield Authorize()
