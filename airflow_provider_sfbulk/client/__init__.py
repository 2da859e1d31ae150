"""The Airflow-free core: a client for both generations of the Salesforce Bulk API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.bulk import BulkClient

__all__ = ["BulkClient"]


def __getattr__(name: str) -> Any:
    """Import the client when it is asked for: errors and models, which are imported often, then cost nothing."""
    if name == "BulkClient":
        from airflow_provider_sfbulk.client.bulk import BulkClient  # noqa: PLC0415

        return BulkClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
