"""Submit a load, do something else, and wait for it later.

The load's task ends as soon as Salesforce has the whole input. The sensor waits for its jobs without owning them: killing
the sensor does not abort them. Needs the connection ``salesforce_bulk_default``.
"""

from __future__ import annotations

from airflow.sdk import DAG, task

from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.sensors.job import BulkJobSensor

with DAG("submit_now_sense_later", schedule=None, tags=["salesforce", "example"], doc_md=__doc__):
    # [START submit_now_sense_later]
    submit = BulkIngestOperator(
        task_id="submit",
        sobject="Contact",
        operation="insert",
        source=[{"LastName": "Okafor", "FirstName": "Ngozi"}, {"LastName": "Lindqvist", "FirstName": "Kai"}],
        wait_for_completion=False,
    )

    @task
    def meanwhile() -> str:
        """Do what need not wait for Salesforce."""
        return "done"

    sense = BulkJobSensor(
        task_id="sense", job_ids=submit.output, max_failed_records=0, poke_interval=30, timeout=3600, deferrable=True
    )
    submit >> meanwhile() >> sense
    # [END submit_now_sense_later]
