"""Load many files, each in a task of its own.

Airflow maps the task over the files: they load side by side, fail and retry one by one, and each has its own link, log and
results. Needs the connection ``salesforce_bulk_default``, the Variable ``lake`` (a folder, or a URI such as ``s3://bucket``),
and in it CSV files, ``incoming/*.csv``, whose columns are fields of Account.
"""

from __future__ import annotations

from airflow.sdk import DAG, ObjectStoragePath, task

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator

with DAG("mapped_load", schedule=None, tags=["salesforce", "example"], doc_md=__doc__):

    @task
    def find_files(folder: str) -> list[str]:
        """List the files to load."""
        return sorted(str(path) for path in ObjectStoragePath(folder).iterdir() if path.suffix == ".csv")

    # [START mapped_load]
    BulkIngestOperator.partial(
        task_id="load",
        sobject="Account",
        operation="upsert",
        external_id_field="External_Key__c",
        deferrable=True,
        max_active_tis_per_dagrun=4,
    ).expand(source=find_files("{{ var.value.lake }}/incoming"))
    # [END mapped_load]
