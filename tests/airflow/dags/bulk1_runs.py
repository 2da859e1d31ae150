"""A serial load and an extract by Bulk API 1.0, both waiting in the triggerer."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator

with DAG("bulk1_runs", schedule=None, params={name: Param("", type="string") for name in ("source", "folder")}):
    load = BulkIngestOperator(
        task_id="load",
        sobject="Account",
        operation="insert",
        source="{{ params.source }}",
        results_path="{{ params.folder }}/results",
        api="1.0",
        concurrency_mode="Serial",
        deferrable=True,
    )
    extract = BulkQueryOperator(
        task_id="extract",
        soql="SELECT Id, Name, External_Key__c, AnnualRevenue FROM Account WHERE Name LIKE 'By 1.0 %'",
        output_path="{{ params.folder }}/extract",
        output_format="parquet",
        api="1.0",
        deferrable=True,
    )
    load >> extract
