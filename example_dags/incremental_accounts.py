"""Extract, each hour, the accounts that have changed since the hour before, into typed Parquet files.

Needs the connection ``salesforce_bulk_default`` and the Variable ``lake``: a folder, or a URI such as ``s3://bucket``, that
workers may write to.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Asset

from airflow_provider_sfbulk.operators.query import BulkQueryOperator, Incremental

with DAG(
    "incremental_accounts",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["salesforce", "example"],
    doc_md=__doc__,
):
    # [START incremental_accounts]
    BulkQueryOperator(
        task_id="extract",
        soql=(
            "SELECT Id, Name, External_Key__c, AnnualRevenue, SystemModstamp FROM Account "
            "WHERE SystemModstamp >= :since AND SystemModstamp < :until"
        ),
        incremental=Incremental(
            field="SystemModstamp",
            asset=Asset("salesforce_accounts"),
            initial="2026-01-01T00:00:00Z",
            lag=timedelta(minutes=5),
        ),
        output_path="{{ var.value.lake }}/increments/accounts/{{ run_id }}",
        output_format="parquet",
        deferrable=True,
    )
    # [END incremental_accounts]
