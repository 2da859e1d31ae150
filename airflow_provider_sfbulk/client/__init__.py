"""The Airflow-free core: a client of the Salesforce Bulk API."""

from airflow_provider_sfbulk.client.bulk import BulkClient

__all__ = ["BulkClient"]
