"""The hook: makes a client from a connection, and runs a whole job with one call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from airflow.providers.common.compat.connection import get_async_connection
from airflow.sdk import BaseHook

from airflow_provider_sfbulk.client.arguments import flag, text
from airflow_provider_sfbulk.client.errors import SfBulkError
from airflow_provider_sfbulk.client.faces.options import HookLoadOptions, QueryOptions
from airflow_provider_sfbulk.client.models import Operation

if TYPE_CHECKING:
    import pandas as pd

    from airflow_provider_sfbulk.client import AsyncBulkClient, BulkClient
    from airflow_provider_sfbulk.client.auth.session import Session
    from airflow_provider_sfbulk.client.faces.bulk_result import BulkResult
    from airflow_provider_sfbulk.client.faces.query_result import BulkQueryResult
    from airflow_provider_sfbulk.client.http.aio import AsyncDriver


class SalesforceBulkHook(BaseHook):
    """Talks to the Salesforce Bulk API with an Airflow connection.

    :param salesforce_conn_id: a connection of type ``salesforce_bulk``, or of the official type ``salesforce``
    :param api_version: instead of the connection's, such as ``66.0``
    """

    conn_name_attr = "salesforce_conn_id"
    default_conn_name = "salesforce_bulk_default"
    conn_type = "salesforce_bulk"
    hook_name = "Salesforce Bulk API"

    def __init__(self, salesforce_conn_id: str = default_conn_name, *, api_version: str | None = None) -> None:
        super().__init__()
        self.salesforce_conn_id = text("salesforce_conn_id", salesforce_conn_id)
        self.api_version = api_version

    def get_conn(self) -> BulkClient:
        """Return the Airflow-free client. It signs in with its first call. Close it, or use it in a ``with`` block.

        :raises LoginError: when what the connection's login method needs is missing
        """
        from airflow_provider_sfbulk.client import BulkClient
        from airflow_provider_sfbulk.client.http.blocking import BlockingDriver
        from airflow_provider_sfbulk.hooks.connection import connection_session

        session = connection_session(self.get_connection(self.salesforce_conn_id), api_version=self.api_version)
        return BulkClient.from_settings(session.settings, BlockingDriver(session.settings, session=session))

    async def get_async_conn(self) -> AsyncBulkClient:
        """Return the asynchronous client, for your own triggers. Use it in an ``async with`` block."""
        from airflow_provider_sfbulk.client import AsyncBulkClient
        from airflow_provider_sfbulk.client.http.aio import AsyncDriver

        session = await self._async_session()
        return AsyncBulkClient.from_settings(session.settings, AsyncDriver(session.settings, session=session))

    async def get_async_driver(self) -> AsyncDriver:
        """Return the driver that runs flows in an event loop, such as the triggerer's."""
        from airflow_provider_sfbulk.client.http.aio import AsyncDriver

        session = await self._async_session()
        return AsyncDriver(session.settings, session=session)

    async def _async_session(self) -> Session:
        from airflow_provider_sfbulk.hooks.connection import connection_session

        connection = await get_async_connection(self.salesforce_conn_id)
        # In a thread: on the event loop, Airflow's masker reaches its supervisor only from a trigger's own task.
        return await asyncio.to_thread(connection_session, connection, api_version=self.api_version)

    def test_connection(self) -> tuple[bool, str]:
        """Sign in and read how many API calls are left, which tests the login, the API permission and the version."""
        from airflow_provider_sfbulk.client.protocol.org import read_api_usage

        try:
            with self.get_conn() as client:
                usage = client.run(read_api_usage(api_version=client.api_version))
                host = client.instance_url
        except SfBulkError as error:
            return False, str(error)
        left = f" API calls left today: {usage.left} of {usage.allowed}." if usage else ""
        return True, f"Signed in to {host} with API version {client.api_version}.{left}"

    def insert(
        self, sobject: str, records: Iterable[Mapping[str, Any]], **options: Unpack[HookLoadOptions]
    ) -> BulkResult:
        """Insert records; see :meth:`BulkClient.ingest.perform` for the options and the result.

        :param options: also ``fail_on_failed_jobs=False``: jobs that failed as a whole then appear only in
            ``result.jobs``. Failed *records* never raise here: see ``result.failed_count``
        :raises JobFailedError: a job failed as a whole or was aborted; ``jobs`` has all of these
        """
        return self._ingest(sobject, Operation.INSERT, records, **options)

    def update(
        self, sobject: str, records: Iterable[Mapping[str, Any]], **options: Unpack[HookLoadOptions]
    ) -> BulkResult:
        """Update records by their ``Id``."""
        return self._ingest(sobject, Operation.UPDATE, records, **options)

    def upsert(
        self,
        sobject: str,
        records: Iterable[Mapping[str, Any]],
        external_id_field: str,
        **options: Unpack[HookLoadOptions],
    ) -> BulkResult:
        """Insert records, or update those whose ``external_id_field`` exists already."""
        return self._ingest(sobject, Operation.UPSERT, records, external_id_field=external_id_field, **options)

    def delete(
        self, sobject: str, ids_or_records: Iterable[str | Mapping[str, Any]], **options: Unpack[HookLoadOptions]
    ) -> BulkResult:
        """Move records to the recycle bin."""
        return self._ingest(sobject, Operation.DELETE, ids_or_records, **options)

    def hard_delete(
        self, sobject: str, ids_or_records: Iterable[str | Mapping[str, Any]], **options: Unpack[HookLoadOptions]
    ) -> BulkResult:
        """Delete records for good. Needs the permission "Bulk API Hard Delete"."""
        return self._ingest(sobject, Operation.HARD_DELETE, ids_or_records, **options)

    def query(self, soql: str, *, include_deleted: bool = False, **options: Unpack[QueryOptions]) -> BulkQueryResult:
        """Run a query; the rows stream, and the result's ``len()`` is known."""
        return self.get_conn().query.perform(soql, include_deleted=include_deleted, **options)

    def get_df(self, soql: str, *, include_deleted: bool = False, **options: Unpack[QueryOptions]) -> pd.DataFrame:
        """Run a query and return its rows as a DataFrame, typed by describe."""
        with self.get_conn() as client:
            return client.query.perform(soql, include_deleted=include_deleted, **options).to_df()

    def _ingest(
        self,
        sobject: str,
        operation: Operation,
        records: Iterable[Any],
        *,
        fail_on_failed_jobs: bool = True,
        wait: bool = True,
        **options: Any,
    ) -> BulkResult:
        flag("fail_on_failed_jobs", fail_on_failed_jobs)
        result = self.get_conn().ingest.perform(sobject, operation, records, wait=wait, **options)
        if wait and fail_on_failed_jobs:
            from airflow_provider_sfbulk.client.waiting.wait import check_all_complete

            check_all_complete(result.jobs)
        return result
