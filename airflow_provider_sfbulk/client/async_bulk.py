"""The public client for event loops."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import Self, TypeVar

from airflow_provider_sfbulk.client.bulk import ClientMethods, token_flow
from airflow_provider_sfbulk.client.bulk1.api import AsyncBulk1Api
from airflow_provider_sfbulk.client.effects import Flow, Ledger
from airflow_provider_sfbulk.client.faces.declare import Asynchronous
from airflow_provider_sfbulk.client.http.aio import AsyncDriver
from airflow_provider_sfbulk.client.ingest import AsyncIngestApi
from airflow_provider_sfbulk.client.query import AsyncQueryApi
from airflow_provider_sfbulk.client.settings import Settings

T = TypeVar("T")


class AsyncBulkClient(ClientMethods, Asynchronous):
    """An asynchronous client of the Salesforce Bulk API, with the methods of ``BulkClient``, to be awaited.

    It belongs to one event loop, whose tasks may share it; records are read, encoded and decoded in threads. Whole loads
    and queries are awaited for their result, or iterated over directly:
    ``async for row in client.query.perform(soql)``.

    :param settings: the connection's keys by name: ``host``, ``login``, ``client_id``, …
    :raises LoginError: when what the login method needs is missing
    """

    driver: AsyncDriver
    loop: asyncio.AbstractEventLoop
    """The event loop of the last call."""

    def _setup(self, settings: Settings, driver: AsyncDriver | None) -> None:
        self.settings = settings
        self.driver = driver or AsyncDriver(settings)
        self._client = self

    @cached_property
    def ingest(self) -> AsyncIngestApi:
        """Ingest jobs, and whole loads."""
        return AsyncIngestApi(self)

    @cached_property
    def query(self) -> AsyncQueryApi:
        """Query jobs, and whole queries."""
        return AsyncQueryApi(self)

    @cached_property
    def bulk1(self) -> AsyncBulk1Api:
        """Bulk API 1.0: serial mode, results in request order, XML, PK chunking that you set."""
        return AsyncBulk1Api(self)

    @property
    async def instance_url(self) -> str:
        """Scheme and host of the org, from the login: ``await client.instance_url``."""
        return (await self.run(token_flow())).instance_url

    async def run(self, flow: Flow[T], *, ledger: Ledger | None = None) -> T:
        """Run a flow, with its own code in threads.

        :param ledger: where a load records its jobs; by default one that lasts for this run only
        :raises SfBulkError: what the flow raises
        """
        self.loop = asyncio.get_running_loop()
        return await self.driver.run(flow, ledger=ledger, in_thread=True)

    async def close(self) -> None:
        """Close the connections."""
        await self.driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
