"""The public client: one line per method, on the flows of ``client/flows``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self, TypeVar

from airflow_provider_sfbulk.client.auth.session import Session
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
        self._begin(Session(Settings.from_mapping(settings)))

    @classmethod
    def of(cls, session: Session) -> Self:
        """Make a client that shares a session."""
        client = cls.__new__(cls)
        client._begin(session)
        return client

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Make a client of ``SFBULK_<KEY>`` variables: ``SFBULK_HOST``, ``SFBULK_CLIENT_ID``, …"""
        return cls.of(Session(Settings.from_env(environ)))

    def _begin(self, session: Session) -> None:
        self.settings = session.settings
        self._driver = BlockingDriver(session.settings, session=session)

    # --- the calls ---

    @cached_property
    def ingest(self) -> IngestApi:
        """Ingest jobs, and whole loads."""
        return IngestApi(self)

    @cached_property
    def query(self) -> QueryApi:
        """Query jobs, and whole queries."""
        return QueryApi(self)

    def describe(self, sobject: str) -> dict[str, Any]:
        """Read what an object and its fields are, as Salesforce's JSON.

        :raises NotFoundError: no such object, or this login may not see it
        """
        return self.run(org.describe(sobject, api_version=self.api_version))

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
    def calls(self) -> int:
        """API calls sent so far."""
        return self._driver.calls

    @property
    def usage(self) -> ApiUsage | None:
        """What Salesforce last said of the org's API calls."""
        return self._driver.usage

    def run(self, flow: Flow[T], *, ledger: Ledger | None = None) -> T:
        """Run a flow.

        :param ledger: where a load records its jobs; by default one that is forgotten with the run
        :raises SfBulkError: what the flow raises
        """
        return self._driver.run(flow, ledger=ledger)

    def stop(self, reason: str) -> None:
        """Let whatever runs end at its next step, with ``StoppedError``. May be called from a signal handler."""
        self._driver.stop(reason)

    def close(self) -> None:
        """Close the connections."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _token() -> Flow[Token]:
    token: Token = yield Authorize()
    return token
