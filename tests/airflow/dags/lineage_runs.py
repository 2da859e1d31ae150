"""A load and an extract whose lineage is told to OpenLineage."""

from __future__ import annotations

from airflow.providers.openlineage.utils.selective_enable import enable_lineage
from airflow.sdk import DAG, Asset, Param

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator

with DAG(
    "lineage_runs", schedule=None, params={name: Param("", type="string") for name in ("source", "folder")}
) as dag:
    load = BulkIngestOperator(
        task_id="load",
        sobject="Account",
        operation="insert",
        source="{{ params.source }}",
        outlets=[Asset("accounts_in_salesforce")],
        deferrable=True,
    )
    extract = BulkQueryOperator(
        task_id="extract",
        soql="SELECT Id, Name, AnnualRevenue FROM Account WHERE Name LIKE :pattern",
        soql_params={"pattern": "Of known descent %"},
        output_path="{{ params.folder }}/extract",
        output_format="parquet",
        outlets=[Asset("accounts_in_the_lake")],
        deferrable=True,
    )
    load >> extract
enable_lineage(dag)
