"""Loads whose wait is disturbed: by a person, a lost triggerer, a lost worker process."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator

for dag_id, deferrable in (("held_in_triggerer", True), ("held_on_worker", False)):
    with DAG(dag_id, schedule=None, params={"source": Param("", type="string")}):
        BulkIngestOperator(
            task_id="load",
            sobject="Account",
            operation="insert",
            source="{{ params.source }}",
            deferrable=deferrable,
            poll_interval=2,
            retries=1,
            retry_delay=timedelta(seconds=1),
        )
