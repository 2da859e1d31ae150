"""The public client: one line per method, on the flows of ``client/flows``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self, TypeVar

from airflow_provider_sfbulk.client.bulk1 import Bulk1Api
from airflow_provider_sfbulk.client.drivers.blocking import BlockingDriver
from airflow_provider_sfbulk.client.flows import org
from airflow_provider_sfbulk.client.flows.org import Allowance, ApiUsage
from airflow_provider_sfbulk.client.ingest import IngestApi
from airflow_provider_sfbulk.client.query import QueryApi
from airflow_provider_sfbulk.client.settings import Settings
from airflow_provider_sfbulk.client.wire import Authorize, Flow, Ledger, Token

T = TypeVar("T")


class BulkClient:
    """A client of the Salesforce Bulk API, without Airflow. It signs in with its first call; threads may share it.

    :param settings: the connection's keys by name: ``host``, ``login``, ``client_id``, …
    :raises LoginError: when what the way of login needs is missing
    """

    def __init__(self, **settings: Any) -> None:
        self._setup(Settings.from_mapping(settings), None)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Make a client of ``SFBULK_<KEY>`` variables: ``SFBULK_HOST``, ``SFBULK_CLIENT_ID``, …"""
        return cls.from_settings(Settings.from_env(environ))

    @classmethod
    def from_settings(cls, settings: Settings, driver: BlockingDriver | None = None) -> Self:
        """Make a client of settings that are already read.

        :param driver: to run flows with, as one whose session masks its secrets
        """
        made = cls.__new__(cls)
        made._setup(settings, driver)
        return made

    def _setup(self, settings: Settings, driver: BlockingDriver | None) -> None:
        self.settings = settings
        self.driver = driver or BlockingDriver(settings)

    # --- the calls ---

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
        """Bulk API 1.0: serial mode, results in request order, XML, PK chunking by hand."""
        return Bulk1Api(self)

    def describe(self, sobject: str) -> dict[str, Any]:
        """Read what an object and its fields are, as Salesforce's JSON.

        :raises NotFoundError: no such object, or this login may not see it
        """
        return self.run(org.describe(sobject, api_version=self.api_version))

    def describe_global(self) -> dict[str, Any]:
        """Read the list of objects, as Salesforce's JSON."""
        return self.run(org.describe_global(api_version=self.api_version))

    def user_info(self) -> dict[str, Any]:
        """Read who is logged in."""
        return self.run(org.user_info())

    def versions(self) -> list[str]:
        """Read which API versions the org speaks, oldest first."""
        return self.run(org.versions())

    def limits(self) -> dict[str, Allowance]:
        """Read the org's allowances by name, ``DailyApiRequests`` and others."""
        return self.run(org.read_limits(api_version=self.api_version))

    # --- the client itself ---

    @property
    def api_version(self) -> str:
        """The version of all calls, as ``"66.0"``."""
        return self.settings.api_version

    @property
    def instance_url(self) -> str:
        """Scheme and host of the org, from the login."""
        return self.run(_token()).instance_url

    @property
    def api_calls(self) -> int:
        """API calls sent so far."""
        return self.driver.calls

    @property
    def api_usage(self) -> ApiUsage | None:
        """What Salesforce last said of the org's API calls."""
        return self.driver.usage

    def run(self, flow: Flow[T], *, ledger: Ledger | None = None) -> T:
        """Run a flow.

        :param ledger: where a load records its jobs; by default one that is forgotten with the run
        :raises SfBulkError: what the flow raises
        """
        return self.driver.run(flow, ledger=ledger)

    def stop(self, reason: str) -> None:
        """Let whatever runs end at its next step, with ``StoppedError``. May be called from a signal handler."""
        self.driver.stop(reason)

    def close(self) -> None:
        """Close the connections."""
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _token() -> Flow[Token]:
    token: Token = yield Authorize()
    return token
