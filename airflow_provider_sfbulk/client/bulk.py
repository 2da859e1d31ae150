"""The public client: one line per call. Its asynchronous twin: ``async_bulk.py``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self, TypeVar, Unpack

from airflow_provider_sfbulk.client.bulk1.api import Bulk1Api
from airflow_provider_sfbulk.client.effects import Authorize, Flow, Ledger, Token
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.faces.bulk_result import AsyncBulkResult, BulkResult
from airflow_provider_sfbulk.client.faces.declare import Blocking, call, whole
from airflow_provider_sfbulk.client.faces.options import ConnectionOptions, LoadOptions
from airflow_provider_sfbulk.client.http.blocking import BlockingDriver
from airflow_provider_sfbulk.client.ingest import IngestApi, IngestMethods
from airflow_provider_sfbulk.client.models import Operation
from airflow_provider_sfbulk.client.protocol import describe, org
from airflow_provider_sfbulk.client.protocol.org import Allowance, ApiUsage
from airflow_provider_sfbulk.client.query import QueryApi
from airflow_provider_sfbulk.client.settings import Settings

T = TypeVar("T")


class ClientMethods:
    """What both clients have in common: their construction, whole loads, and the calls about the org."""

    settings: Settings
    ingest: Any

    def __init__(self, /, **settings: Unpack[ConnectionOptions]) -> None:
        self._setup(Settings.from_mapping(settings), None)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Make a client from ``SFBULK_<KEY>`` variables: ``SFBULK_HOST``, ``SFBULK_CLIENT_ID``, …"""
        return cls.from_settings(Settings.from_env(environ))

    @classmethod
    def from_settings(cls, settings: Settings, driver: Any = None) -> Self:
        """Make a client from settings.

        :param driver: runs the flows; for example one whose session masks its secrets
        """
        if not isinstance(settings, Settings):
            raise SourceError(
                f"settings must be made by Settings.from_mapping, and this is a {type(settings).__name__:.40}"
            )
        made = cls.__new__(cls)
        made._setup(settings, driver)
        return made

    def _setup(self, settings: Settings, driver: Any) -> None:
        raise NotImplementedError

    # --- whole loads, by their operation ---

    @whole(BulkResult, AsyncBulkResult, iterating={"wait": False})
    def insert(self, /, sobject: str, records: Any, **options: Unpack[LoadOptions]) -> Flow[Any]:
        """Insert records. Options: those of ``ingest.perform``."""
        return IngestMethods.perform.function(self.ingest, sobject, Operation.INSERT, records, **options)

    @whole(BulkResult, AsyncBulkResult, iterating={"wait": False})
    def update(self, /, sobject: str, records: Any, **options: Unpack[LoadOptions]) -> Flow[Any]:
        """Update records by their ``Id``."""
        return IngestMethods.perform.function(self.ingest, sobject, Operation.UPDATE, records, **options)

    @whole(BulkResult, AsyncBulkResult, iterating={"wait": False})
    def upsert(
        self, /, sobject: str, records: Any, external_id_field: str, **options: Unpack[LoadOptions]
    ) -> Flow[Any]:
        """Insert records, or update those whose ``external_id_field`` exists already."""
        return IngestMethods.perform.function(
            self.ingest, sobject, Operation.UPSERT, records, external_id_field=external_id_field, **options
        )

    @whole(BulkResult, AsyncBulkResult, iterating={"wait": False})
    def delete(self, /, sobject: str, ids_or_records: Any, **options: Unpack[LoadOptions]) -> Flow[Any]:
        """Move records to the recycle bin."""
        return IngestMethods.perform.function(self.ingest, sobject, Operation.DELETE, ids_or_records, **options)

    @whole(BulkResult, AsyncBulkResult, iterating={"wait": False})
    def hard_delete(self, /, sobject: str, ids_or_records: Any, **options: Unpack[LoadOptions]) -> Flow[Any]:
        """Delete records for good. Needs the permission "Bulk API Hard Delete"."""
        return IngestMethods.perform.function(self.ingest, sobject, Operation.HARD_DELETE, ids_or_records, **options)

    # --- the org ---

    @call
    def describe(self, sobject: str) -> Flow[dict[str, Any]]:
        """Read what an object and its fields are, as Salesforce's JSON.

        :raises NotFoundError: no such object, or this user cannot see it
        :raises ProtocolError: the reply is not a describe
        """
        return describe.describe(sobject, api_version=self.api_version)

    @call
    def describe_global(self) -> Flow[dict[str, Any]]:
        """Read the list of objects, as Salesforce's JSON."""
        return org.describe_global(api_version=self.api_version)

    @call
    def user_info(self) -> Flow[dict[str, Any]]:
        """Read who is logged in."""
        return org.user_info()

    @call
    def versions(self) -> Flow[list[str]]:
        """Read which API versions the org supports, oldest first."""
        return org.versions()

    @call
    def limits(self) -> Flow[dict[str, Allowance]]:
        """Read the org's limits by name, ``DailyApiRequests`` and others."""
        return org.read_limits(api_version=self.api_version)

    # --- the client itself ---

    driver: Any

    @property
    def api_version(self) -> str:
        """The version of all calls, such as ``"66.0"``."""
        return self.settings.api_version

    @property
    def api_calls(self) -> int:
        """API calls sent so far."""
        calls: int = self.driver.calls
        return calls

    @property
    def api_usage(self) -> ApiUsage | None:
        """What Salesforce last reported about the org's API calls."""
        usage: ApiUsage | None = self.driver.usage
        return usage

    def stop(self, reason: str) -> None:
        """End whatever runs at its next step, with ``StoppedError``. May be called from a signal handler."""
        self.driver.stop(reason)


class BulkClient(ClientMethods, Blocking):
    """A client of the Salesforce Bulk API, without Airflow. It signs in with its first call; threads may share it.

    :param settings: the connection's keys by name: ``host``, ``login``, ``client_id``, …
    :raises LoginError: when what the login method needs is missing
    """

    driver: BlockingDriver

    def _setup(self, settings: Settings, driver: BlockingDriver | None) -> None:
        self.settings = settings
        self.driver = driver or BlockingDriver(settings)
        self._client = self

    @cached_property
    def ingest(self) -> IngestApi:
        """Ingest jobs, and whole loads."""
        return IngestApi(self)

    @cached_property
    def query(self) -> QueryApi:
        """Query jobs, and whole queries."""
        return QueryApi(self)

    @cached_property
    def bulk1(self) -> Bulk1Api:
        """Bulk API 1.0: serial mode, results in request order, XML, PK chunking that you set."""
        return Bulk1Api(self)

    @property
    def instance_url(self) -> str:
        """Scheme and host of the org, from the login."""
        return self.run(token_flow()).instance_url

    def run(self, flow: Flow[T], *, ledger: Ledger | None = None) -> T:
        """Run a flow.

        :param ledger: where a load records its jobs; by default one that lasts for this run only
        :raises SfBulkError: what the flow raises
        """
        return self.driver.run(flow, ledger=ledger)

    def close(self) -> None:
        """Close the connections."""
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def token_flow() -> Flow[Token]:
    """Request the session's token."""
    token: Token = yield Authorize()
    return token
