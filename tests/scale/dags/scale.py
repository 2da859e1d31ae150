"""A mapped load of many files and an extract, all on object storage."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, Param, task

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator

PART_RECORDS = int(os.environ.get("SCALE_PART_RECORDS", "250"))
"""By default, so few that a small file is several jobs."""

PARAMS = {"prefix": Param("", type="string"), "rows": Param("", type="string"), "files": Param(1, type="integer")}
# An outage ends every try that is begun meanwhile, each within a quarter of a minute.
RETRIES = {"retries": 20, "retry_delay": timedelta(seconds=3)}

with DAG("scale_load", schedule=None, params=PARAMS, default_args=RETRIES):

    @task
    def sources(params: dict[str, str | int] | None = None) -> list[str]:
        """Name the input files."""
        assert params is not None
        return [f"s3://lake/{params['prefix']}/in/{number:04}.csv" for number in range(int(params["files"]))]

    BulkIngestOperator.partial(
        task_id="load",
        sobject="Account",
        operation="insert",
        source_conn_id="aws_default",
        results_path="s3://lake/{{ params.prefix }}/results/{{ ti.map_index }}",
        results_conn_id="aws_default",
        part_records=PART_RECORDS,
        max_concurrent_jobs=2,
        deferrable=True,
        poll_interval=5,
    ).expand(source=sources())

with DAG("scale_extract", schedule=None, params=PARAMS, default_args=RETRIES):
    BulkQueryOperator(
        task_id="extract",
        soql="SELECT Id, Name FROM Account WHERE Name LIKE '{{ params.rows }} %'",
        output_path="s3://lake/{{ params.prefix }}/extract",
        output_conn_id="aws_default",
        page_records=200,
        max_concurrent_pages=2,
        deferrable=True,
        poll_interval=5,
    )
