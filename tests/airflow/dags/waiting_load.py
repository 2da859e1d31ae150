"""A load that is waited for long enough to be killed."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator

with DAG("waiting_load", schedule=None):
    BulkIngestOperator(
        task_id="load", sobject="Lead", operation="insert", source=[{"LastName": "Okafor", "Company": "Parasol Works"}]
    )
