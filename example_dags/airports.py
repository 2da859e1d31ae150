"""Load every airport of the world into Salesforce and extract them again.

The main job of this provider from end to end; ``make demo`` runs it. Needs an object ``Airport__c`` (the local org of the
demo has it) and a folder that workers may write to.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, task

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator

with DAG(
    "airports",
    schedule=None,
    params={"folder": Param("/tmp/airports", type="string", description="where files are written")},  # noqa: S108
    tags=["salesforce", "example"],
    doc_md=__doc__,
):

    @task
    def write_file(folder: str) -> str:
        """Write the package's airports into a CSV file, with some rows that Salesforce must refuse."""
        from airflow_provider_sfbulk.demo.airports import write_airports  # noqa: PLC0415 - of the extra "demo"

        return write_airports(folder)

    # [START load]
    load = BulkIngestOperator(
        task_id="load",
        sobject="Airport__c",
        operation="upsert",
        external_id_field="External_Key__c",
        source=write_file("{{ params.folder }}"),
        results_path="{{ params.folder }}/results",
        max_failed_records=10,
    )
    # [END load]

    # [START extract]
    extract = BulkQueryOperator(
        task_id="extract",
        soql="""
            SELECT External_Key__c, Name, City__c, Country__c, Elevation_Feet__c, Latitude__c, Longitude__c
            FROM Airport__c
        """,
        output_path="{{ params.folder }}/extract",
        output_format="parquet",
    )
    # [END extract]

    load >> extract
