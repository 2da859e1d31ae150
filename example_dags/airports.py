"""Load every airport of the world into Salesforce and extract them again.

The main job of this provider from end to end; ``make demo`` runs it. Needs the connection ``salesforce_bulk_default`` to an
org with the object ``Airport__c``, as the demo's local org, and the Variable ``lake``: a folder that workers may write to.
"""

from __future__ import annotations

from airflow.sdk import DAG, task

from airflow_provider_sfbulk.demo.airports import write_airports
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator

with DAG("airports", schedule=None, tags=["salesforce", "example"], doc_md=__doc__):

    @task
    def write_file(folder: str) -> str:
        """Write the airports into a CSV file, with some rows that Salesforce must refuse."""
        return write_airports(folder)

    # [START load]
    load = BulkIngestOperator(
        task_id="load",
        sobject="Airport__c",
        operation="upsert",
        external_id_field="External_Key__c",
        source=write_file("{{ var.value.lake }}"),
        results_path="{{ var.value.lake }}/results",
        max_failed_records=10,
        deferrable=True,
    )
    # [END load]

    # [START extract]
    extract = BulkQueryOperator(
        task_id="extract",
        soql="""
            SELECT External_Key__c, Name, Iata__c, City__c, Region__c, Country__c, Time_Zone__c,
                Elevation_Feet__c, Latitude__c, Longitude__c
            FROM Airport__c
        """,
        output_path="{{ var.value.lake }}/extract",
        output_format="parquet",
        deferrable=True,
    )
    # [END extract]

    load >> extract
