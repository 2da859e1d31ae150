"""Extract a SOQL query into typed Parquet files.

Needs the connection ``salesforce_bulk_default`` and the Variable ``lake``: a folder, or a URI such as ``s3://bucket``, that
workers may write to.
"""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_sfbulk.operators.query import BulkQueryOperator

with DAG("soql_to_parquet", schedule=None, tags=["salesforce", "example"], doc_md=__doc__):
    # [START soql_to_parquet]
    BulkQueryOperator(
        task_id="extract",
        soql="SELECT Id, Name, Owner.Username, AnnualRevenue, CreatedDate FROM Account",
        output_path="{{ var.value.lake }}/extracts/accounts/{{ run_id }}",
        output_format="parquet",
        deferrable=True,
    )
    # [END soql_to_parquet]
