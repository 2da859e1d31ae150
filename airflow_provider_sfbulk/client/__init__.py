"""The Airflow-free core: a client for both generations of the Salesforce Bulk API."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.async_bulk import AsyncBulkClient
    from airflow_provider_sfbulk.client.bulk import BulkClient

__all__ = ["AsyncBulkClient", "BulkClient"]

_HOMES: Final = {"AsyncBulkClient": "async_bulk", "BulkClient": "bulk"}


def __getattr__(name: str) -> Any:
    """Import a client when it is asked for: errors and models, which are imported often, then cost nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
