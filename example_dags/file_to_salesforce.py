"""Load a file into Salesforce, once a day.

Needs a connection ``salesforce_bulk_default`` and a CSV file a day whose columns are fields of Account. Change the paths to
``s3://…`` for object storage.
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
    params={"folder": "/data/accounts"},
    tags=["salesforce", "example"],
    doc_md=__doc__,
):
    # [START file_to_salesforce]
    BulkIngestOperator(
        task_id="load",
        sobject="Account",
        operation="upsert",
        external_id_field="External_Key__c",
        source="{{ params.folder }}/{{ ds }}.csv",
        results_path="{{ params.folder }}/results/{{ ds }}",
        max_failed_records=0.01,
        deferrable=True,
        retries=3,
    )
    # [END file_to_salesforce]
