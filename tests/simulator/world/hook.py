"""In place of the hook: a client whose driver is simulated."""

from __future__ import annotations

from typing import Final

from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.client.settings import Settings
from tests.simulator.salesforce.model import HOST
from tests.simulator.world.driver import SimulatedDriver
from tests.simulator.world.processes import Process, World

API_VERSION: Final = "66.0"
_SETTINGS: Final = Settings.from_mapping({"access_token": "0", "instance_url": HOST, "api_version": API_VERSION})


class Hook:
    """What an operator sees of ``SalesforceBulkHook``."""

    def __init__(self, process: Process, world: World) -> None:
        self._process, self._world = process, world

    def get_conn(self) -> BulkClient:
        """Give a client."""
        driver = SimulatedDriver(self._process, self._world)
        return BulkClient.from_settings(_SETTINGS, driver)  # type: ignore[arg-type]
