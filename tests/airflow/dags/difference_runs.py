"""A load of what differs, and an extract of the same rows in folders by value; both waiting in the triggerer."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator

with DAG("difference_runs", schedule=None, params={name: Param("", type="string") for name in ("source", "folder")}):
    load = BulkIngestOperator(
        task_id="load",
        sobject="Account",
        operation="upsert",
        external_id_field="External_Key__c",
        source="{{ params.source }}",
        results_path="{{ params.folder }}/results",
        skip_unchanged=True,
        deferrable=True,
    )
    extract = BulkQueryOperator(
        task_id="extract",
        soql="SELECT External_Key__c, Name, Industry FROM Account WHERE Name LIKE 'Differs %'",
        output_path="{{ params.folder }}/extract",
        output_format="parquet",
        partition_by="Industry",
        rows_per_file=25,
        deferrable=True,
    )
    load >> extract
