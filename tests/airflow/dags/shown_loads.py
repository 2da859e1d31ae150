"""A load to look at while it runs and after some of its rows have failed."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator

with DAG("nightly_accounts", schedule=None, params={name: Param("", type="string") for name in ("source", "results")}):
    BulkIngestOperator(
        task_id="load_accounts",
        sobject="Account",
        operation="upsert",
        external_id_field="External_Key__c",
        source="{{ params.source }}",
        results_path="{{ params.results }}",
        part_records=6_000,
        max_failed_records=10,
        deferrable=True,
        poll_interval=2,
    )
