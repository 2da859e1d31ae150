"""In place of the hook: a client whose driver is simulated."""

from __future__ import annotations

from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.client.settings import Settings
from tests.simulator.salesforce.model import HOST
from tests.simulator.world.driver import SimulatedDriver
from tests.simulator.world.processes import Process, World


class Hook:
    """What an operator sees of ``SalesforceBulkHook``.

    :param api_version: the operator's, or else the connection's
    """

    def __init__(self, process: Process, world: World, api_version: str) -> None:
        self._process, self._world = process, world
        self._settings = Settings.from_mapping({"access_token": "0", "instance_url": HOST, "api_version": api_version})

    def get_conn(self) -> BulkClient:
        """Give a client."""
        driver = SimulatedDriver(self._process, self._world)
        return BulkClient.from_settings(self._settings, driver)  # type: ignore[arg-type]
