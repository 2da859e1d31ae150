"""Load many files, each in a task of its own.

Airflow maps the task over the files: they load side by side, fail and retry one by one, and each has its own link, log and
results.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, Param, task

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator

with DAG(
    "mapped_load",
    schedule=None,
    params={"folder": Param("/data/incoming", type="string")},
    tags=["salesforce", "example"],
    doc_md=__doc__,
):

    @task
    def find_files(folder: str) -> list[str]:
        """List the files to load."""
        return sorted(str(path) for path in Path(folder).glob("*.csv"))

    # [START mapped_load]
    BulkIngestOperator.partial(
        task_id="load",
        sobject="Account",
        operation="upsert",
        external_id_field="External_Key__c",
        max_active_tis_per_dagrun=4,
    ).expand(source=find_files("{{ params.folder }}"))
    # [END mapped_load]
