"""Apache Airflow provider for the Salesforce Bulk API.

The names below are public. Each is imported when it is first used: a DAG file pays only for what it uses, and the client
comes without Airflow. The modules that define them keep their paths; everything else in this package is private.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client import AsyncBulkClient, BulkClient
    from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
    from airflow_provider_sfbulk.operators.incremental import Incremental
    from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
    from airflow_provider_sfbulk.operators.query import BulkQueryOperator
    from airflow_provider_sfbulk.sensors.job import BulkJobSensor
    from airflow_provider_sfbulk.triggers.change import SalesforceChangeTrigger

__all__ = [
    "AsyncBulkClient",
    "BulkClient",
    "BulkIngestOperator",
    "BulkJobSensor",
    "BulkQueryOperator",
    "Incremental",
    "SalesforceBulkHook",
    "SalesforceChangeTrigger",
]

_HOMES: Final = {
    "AsyncBulkClient": "client",
    "BulkClient": "client",
    "BulkIngestOperator": "operators.ingest",
    "BulkJobSensor": "sensors.job",
    "BulkQueryOperator": "operators.query",
    "Incremental": "operators.incremental",
    "SalesforceBulkHook": "hooks.salesforce_bulk",
    "SalesforceChangeTrigger": "triggers.change",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
