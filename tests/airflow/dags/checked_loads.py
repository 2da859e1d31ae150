"""A check that only reports, and one that keeps a load from beginning."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator

LOAD = {"sobject": "Account", "operation": "insert", "source": "{{ params.source }}"}

with DAG("checked_loads", schedule=None, params={name: Param("", type="string") for name in ("source", "folder")}):
    report = BulkIngestOperator(
        task_id="report",
        validate_only=True,
        max_failed_records=None,
        results_path="{{ params.folder }}",
        deferrable=True,
        **LOAD,
    )
    gate = BulkIngestOperator(task_id="gate", validate_only=True, retries=3, **LOAD)
    load = BulkIngestOperator(task_id="load", **LOAD)
    report >> gate >> load
