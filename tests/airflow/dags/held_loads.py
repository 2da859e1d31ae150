"""Loads and an extract whose life is disturbed: by a person, a deploy, a lost process, an Airflow that is away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator

SECOND = timedelta(seconds=1)
LOADS: dict[str, dict[str, Any]] = {
    "held_in_triggerer": {"deferrable": True},
    "held_on_worker": {"deferrable": False},
    # An API server that is away ends every try that is begun meanwhile, each within a quarter of a minute.
    "held_patiently_in_triggerer": {"deferrable": True, "retries": 30},
    "held_patiently_on_worker": {"deferrable": False, "retries": 30},
    # Long enough to fill, decide and close on a busy machine; short enough to pass while the job is held.
    "held_briefly_on_worker": {"deferrable": False, "retries": 30, "execution_timeout": 15 * SECOND},
}

for dag_id, arguments in LOADS.items():
    with DAG(dag_id, schedule=None, params={name: Param("", type="string") for name in ("source", "results")}):
        BulkIngestOperator(
            task_id="load",
            sobject="Account",
            operation="insert",
            source="{{ params.source }}",
            results_path="{{ params.results }}",
            poll_interval=2,
            **{"retries": 1, "retry_delay": SECOND, **arguments},
        )

with DAG("held_extract", schedule=None, params={"output": Param("", type="string")}):
    BulkQueryOperator(
        task_id="extract",
        soql="SELECT Id, Name FROM Account WHERE Name LIKE 'Held by the query %'",
        output_path="{{ params.output }}",
        deferrable=False,
        poll_interval=2,
        page_records=10,
        max_concurrent_pages=1,
        retries=1,
        retry_delay=SECOND,
    )
