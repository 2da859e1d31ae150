"""Load a file into Salesforce, once a day.

Needs the connection ``salesforce_bulk_default``, the Variable ``lake`` (a folder, or a URI such as ``s3://bucket``), and in
it a CSV file a day, ``accounts/<day>.csv``, whose columns are fields of Account.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator

with DAG(
    "file_to_salesforce",
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    tags=["salesforce", "example"],
    doc_md=__doc__,
):
    # [START file_to_salesforce]
    BulkIngestOperator(
        task_id="load",
        sobject="Account",
        operation="upsert",
        external_id_field="External_Key__c",
        source="{{ var.value.lake }}/accounts/{{ ds }}.csv",
        results_path="{{ var.value.lake }}/accounts/results/{{ ds }}",
        max_failed_records=0.01,
        deferrable=True,
        retries=3,
    )
    # [END file_to_salesforce]
